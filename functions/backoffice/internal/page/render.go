package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/shared/asset"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// frame is what every page has around it.
type frame struct {
	Title string
	// Path is the section that the page is of.
	Path string
	Who  signin.Session
	// Told is what has just been done.
	Told string
}

// May tells whether who sees the page has a role.
func (f frame) May(role string) bool { return f.Who.Role.May(signin.Role(role)) }

func (s *site) frame(w http.ResponseWriter, r request, title, path string) frame {
	return frame{Title: title, Path: path, Who: r.who, Told: s.Cookies.Told(w, r.Request)}
}

// templates are the pages by name, each with the layout around it.
type templates map[string]*template.Template

func loadTemplates(static asset.Files) (templates, error) {
	functions := template.FuncMap{
		"asset": static.URL, "count": count, "words": words, "took": took, "rate": rate,
		"money":   func(m events.Money) string { return m.String() },
		"amount":  func(n int64, currency string) string { return events.Money{Amount: n, Currency: currency}.String() },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"moment":  func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05") },
		"percent": percent,
		"tab":     func(here, to, text string) tab { return tab{here, to, text} },
	}
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	loaded := templates{}
	for _, name := range []string{
		"sign-in", "today", "orders", "order", "stock", "article", "letters", "letter", "mail", "checks", "figures", "trail", "confirm", "message",
	} {
		page, err := layout.Clone()
		if err != nil {
			return nil, fmt.Errorf("clone layout: %w", err)
		}
		if loaded[name], err = page.ParseFS(templateFiles, path.Join("templates", name+".html")); err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
	}
	return loaded, nil
}

// render makes the whole page before it sends any of it: half a page can't be taken back.
func (t templates) render(w http.ResponseWriter, name string, status int, data any) error {
	var page bytes.Buffer
	if err := t[name].Execute(&page, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes()) //nolint:errcheck,gosec // the client has left
	return nil
}

// tab is a link to a section.
type tab struct{ Here, To, Text string }

// count writes 1234567 as 1,234,567.
func count(n any) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// words writes a name of the database as people do.
func words(name string) string { return strings.NewReplacer("_", " ", "-", " ").Replace(name) }

// lately is how many minutes a rate is of.
const lately = 5

func rate(n int64) string { return strconv.FormatFloat(float64(n)/lately, 'f', 1, 64) }

func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return d.Round(time.Second).String()
	}
}

// asset serves a file: those that are known by name, and nothing else.
func (s *site) asset(w http.ResponseWriter, r request) error {
	file, known := s.static[r.URL.Path]
	if !known {
		return book.ErrNoSuch
	}
	file.Serve(w, r.Request)
	return nil
}
