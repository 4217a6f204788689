package page

import (
	"embed"
	"net/http"
	"path"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

//go:embed static
var staticFiles embed.FS

// asset serves a file. Asked for without its version, as from a mail, it may be
// kept only for a while.
func (s *site) asset(w http.ResponseWriter, r *http.Request) error {
	file, known := s.static[path.Clean(r.URL.Path)]
	if !known {
		return problem.NotFound()
	}
	w.Header().Set("ETag", `"`+file.Version+`"`)
	w.Header().Set("Cache-Control", "public, max-age=300")
	file.Serve(w, r)
	return nil
}
