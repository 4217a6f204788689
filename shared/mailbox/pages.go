package mailbox

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed pages
var pageFiles embed.FS

const (
	pagePolicy = "default-src 'none'; style-src 'self'; frame-src 'self'; img-src 'self' data:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// mailPolicy lets a mail look like one and do nothing. Its links open
	// outside, its pictures come from this machine.
	mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; " +
		"img-src data: http://localhost:* http://127.0.0.1:*; frame-ancestors 'self'"
)

// pages are the parsed page and its style sheet.
type pages struct {
	page  *template.Template
	style []byte
}

func parsePages() (pages, error) {
	style, err := fs.ReadFile(pageFiles, "pages/style.css")
	if err != nil {
		return pages{}, fmt.Errorf("read style sheet: %w", err)
	}
	page, err := template.ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return pages{}, fmt.Errorf("parse pages: %w", err)
	}
	return pages{page, style}, nil
}

// view is what the page shows: the list, and beside it the open message.
type view struct {
	List      list
	Open      *Message
	To, Order string
	Missing   bool
	Now       time.Time
}

// Filtered tells whether the list is a part of all mail.
func (v view) Filtered() bool { return v.To != "" || v.Order != "" }

// Link keeps the filter when a message is opened.
func (v view) Link(path string) string { return path + v.query("") }

// Older is the link to the next page of the list.
func (v view) Older() string { return "/" + v.query(v.List.Next) }

func (v view) query(before string) string {
	query := url.Values{}
	for name, value := range map[string]string{"to": v.To, "order": v.Order, "before": before} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

// Time shows when a message came, shorter for today's.
func (v view) Time(t time.Time) string {
	t = t.In(v.Now.Location())
	if t.Format(time.DateOnly) == v.Now.Format(time.DateOnly) {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 2006, 15:04")
}

// People joins addresses for reading.
func (view) People(addresses []Address) string {
	names := make([]string, 0, len(addresses))
	for _, a := range addresses {
		if a.Name == "" {
			names = append(names, a.Email)
			continue
		}
		names = append(names, a.Name+" <"+a.Email+">")
	}
	return strings.Join(names, ", ")
}

func (s *Server) listPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, nil, http.StatusOK)
}

func (s *Server) messagePage(w http.ResponseWriter, r *http.Request) {
	m, err := s.message(r)
	switch {
	case errors.Is(err, errNoMessage):
		s.render(w, r, nil, http.StatusNotFound)
	case err != nil:
		s.unavailable(w, err)
	default:
		s.render(w, r, &m, http.StatusOK)
	}
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, open *Message, status int) {
	f, err := parseFilter(r)
	if err != nil {
		f.before = 0 // a mistyped address shows the newest mail
	}
	found, err := s.page(f)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	v := view{List: found, Open: open, To: f.to, Order: f.order, Missing: status == http.StatusNotFound, Now: s.now()}
	var page bytes.Buffer
	if err := s.pages.page.ExecuteTemplate(&page, "mailbox.html", v); err != nil {
		s.unavailable(w, err)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	writePage(w, status, page.Bytes())
}

// messageHTML is what the frame shows.
func (s *Server) messageHTML(w http.ResponseWriter, r *http.Request) {
	m, err := s.message(r)
	if err != nil {
		s.refuse(w, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	writePage(w, http.StatusOK, []byte(openOutside(m.HTML)))
}

// openOutside makes links leave the frame they are shown in.
func openOutside(html string) string {
	const base = `<base target="_blank">`
	before, after, found := strings.Cut(html, "<head>")
	if !found {
		return base + html
	}
	return before + "<head>" + base + after
}

func writePage(w http.ResponseWriter, status int, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page) // a reader that is gone needs no page
}

func (s *Server) clearPage(w http.ResponseWriter, r *http.Request) {
	if err := s.store.clear(); err != nil {
		s.unavailable(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Server) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(s.pages.style) // a reader that is gone needs no style
}
