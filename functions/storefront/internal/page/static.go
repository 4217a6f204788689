package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

//go:embed static
var staticFiles embed.FS

// asset is one file with what a cache needs to know.
type asset struct {
	content []byte
	version string
}

// assets are the pictures, the style and the script of the shop.
type assets map[string]asset

func loadAssets() (assets, error) {
	loaded := assets{}
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		sum := sha256.Sum256(content)
		loaded["/"+name] = asset{content: content, version: hex.EncodeToString(sum[:6])}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	return loaded, nil
}

// url is the address of a file in its present version, which never changes and
// so may be kept forever.
func (a assets) url(name string) string {
	file, known := a["/static/"+name]
	if !known {
		return "/static/" + name
	}
	return "/static/" + name + "?v=" + file.version
}

// asset serves a file. Asked for without its version, as from a mail, it may be
// kept only for a while.
func (s *site) asset(w http.ResponseWriter, r *http.Request) error {
	file, known := s.static[path.Clean(r.URL.Path)]
	if !known {
		return problem.NotFound()
	}
	w.Header().Set("ETag", `"`+file.version+`"`)
	w.Header().Set("Cache-Control", "public, max-age=300")
	if r.URL.Query().Get("v") == file.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	// Neither Windows nor a bare container knows all of these by itself.
	switch path.Ext(r.URL.Path) {
	case ".svg":
		w.Header().Set("Content-Type", "image/svg+xml")
	case ".js":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	case ".css":
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
	}
	http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(file.content))
	return nil
}
