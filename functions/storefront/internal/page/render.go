package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"path"
	"strings"

	"github.com/orderflow-project/orderflow/shared/asset"
)

//go:embed templates
var templateFiles embed.FS

// frame is what every page has around it.
type frame struct {
	Title phrase
	// Basket is the number of pieces in the customer's basket.
	Basket int
	// Private pages are not for search engines.
	Private bool
	// Back is where a customer who chooses another language is now.
	Back string
}

// templates are the pages by language and name, each with the layout around it.
type templates map[*tongue]map[string]*template.Template

func loadTemplates(static asset.Files, tongues []*tongue) (templates, error) {
	loaded := templates{}
	for _, one := range tongues {
		pages, err := loadPages(static, one)
		if err != nil {
			return nil, err
		}
		loaded[one] = pages
	}
	return loaded, nil
}

func pageNames() []string {
	return []string{"home", "products", "product", "basket", "checkout", "order", "receipt", "find-order", "message"}
}

func loadPages(static asset.Files, in *tongue) (map[string]*template.Template, error) {
	functions := in.functions()
	maps.Copy(functions, template.FuncMap{
		"asset":    static.URL,
		"picture":  func(sku string) string { return static.URL("products/" + strings.ToLower(sku) + ".svg") },
		"input":    newInput,
		"optional": newOptional,
	})
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/card.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	loaded := map[string]*template.Template{}
	for _, name := range pageNames() {
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

// render makes the whole page before it sends any of it: half a page can't be
// taken back.
func (t templates) render(w http.ResponseWriter, in *tongue, name string, status int, data any) error {
	var page bytes.Buffer
	if err := t[in][name].Execute(&page, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store") // it shows this customer's basket
	}
	w.WriteHeader(status)
	_, err := w.Write(page.Bytes())
	return ignore(err)
}

// ignore drops the error of a client that has left in the middle of its page.
func ignore(error) error { return nil }

// input is a text field of a form, as the template "field" shows it.
type input struct {
	Page                                   checkoutPage
	Name, Label, Type, Autocomplete, Class string
	Max                                    int
	Optional                               bool
}

func newInput(page checkoutPage, name, label, kind, autocomplete string, limit int) input {
	return input{
		Page: page, Name: name, Label: label, Type: kind, Autocomplete: autocomplete, Max: limit, Class: "field-" + name,
	}
}

func newOptional(page checkoutPage, name, label, kind, autocomplete string, limit int) input {
	field := newInput(page, name, label, kind, autocomplete, limit)
	field.Optional = true
	return field
}
