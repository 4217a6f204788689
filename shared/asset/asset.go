// Package asset serves the files that pages are made with: style, script, pictures.
// Each has an address with its version in it, which never changes and so may be kept
// for good.
package asset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// File is one file with what a cache needs to know.
type File struct {
	// Version is made of the content.
	Version string
	content []byte
}

// Files are files by their path from the root of a site: "/static/shop.css".
type Files map[string]File

// Load reads all files below a folder named static.
func Load(from fs.FS) (Files, error) {
	loaded := Files{}
	err := fs.WalkDir(from, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		sum := sha256.Sum256(content)
		loaded["/"+name] = File{Version: hex.EncodeToString(sum[:6]), content: content}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	return loaded, nil
}

// URL is the address of a file below static in its present version.
func (f Files) URL(name string) string {
	file, known := f["/static/"+name]
	if !known {
		return "/static/" + name
	}
	return "/static/" + name + "?v=" + file.Version
}

// Serve answers with the file. Asked for by its version it may be kept for good;
// what else holds for caches is for the caller to say before.
func (f File) Serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("v") == f.Version {
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
	http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(f.content))
}
