package letter

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"

	"github.com/orderflow-project/orderflow/shared/locale"
)

//go:embed layout.html layout.txt en/*.tmpl de/*.tmpl
var files embed.FS

// Writer writes letters in one language.
type Writer struct {
	language locale.Locale
	words    map[Change]*texttemplate.Template
	html     *htmltemplate.Template
	text     *texttemplate.Template
}

// NewWriter reads the words of a language, which is named by the tag of their folder.
func NewWriter(code string) (*Writer, error) {
	spoken, known := locale.Of(code)
	if !known {
		return nil, fmt.Errorf("read letters: %q is not a language of ours", code)
	}
	w := &Writer{language: spoken, words: map[Change]*texttemplate.Template{}}
	var err error
	for _, change := range Changes() {
		// What all letters say comes first, so that a letter can say it in its own way.
		words, err := texttemplate.New(string(change)).ParseFS(files, code+"/common.tmpl", code+"/"+string(change)+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("read letters: %w", err)
		}
		w.words[change] = words
	}
	if w.html, err = htmltemplate.ParseFS(files, "layout.html"); err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	if w.text, err = texttemplate.ParseFS(files, "layout.txt"); err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	return w, nil
}

// Writers write letters in every language there are words of.
type Writers struct {
	own *Writer
	all map[string]*Writer
}

// NewWriters reads the words of all languages. Own is the shop's, for who reads
// none of the others or has never said.
func NewWriters(own string) (*Writers, error) {
	made := &Writers{all: map[string]*Writer{}}
	for _, spoken := range locale.All() {
		w, err := NewWriter(spoken.Code())
		if err != nil {
			return nil, err
		}
		made.all[spoken.Code()] = w
	}
	if made.own = made.all[own]; made.own == nil {
		return nil, fmt.Errorf("read letters: %q is not a language of ours", own)
	}
	return made, nil
}

// In is the writer of a language, or of the shop's own.
func (w *Writers) In(code string) *Writer {
	if one, known := w.all[code]; known {
		return one
	}
	return w.own
}

func (w *Writer) layOut(page laidOut) (Letter, error) {
	var html, text strings.Builder
	if err := w.html.Execute(&html, page); err != nil {
		return Letter{}, fmt.Errorf("lay out letter: %w", err)
	}
	if err := w.text.Execute(&text, page); err != nil {
		return Letter{}, fmt.Errorf("lay out letter: %w", err)
	}
	return Letter{Subject: page.Subject, Text: text.String(), HTML: html.String()}, nil
}

// country is the name of a country in the writer's language.
func (w *Writer) country(code string) string {
	return plainText(w.language.Country(code))
}

// speech says one thing after another, until something can't be said.
type speech struct {
	words *texttemplate.Template
	said  said
	err   error
}

// line says a block as one line.
func (s *speech) line(block string) string {
	return strings.Join(strings.Fields(s.say(block)), " ")
}

// paragraphs says a block whose paragraphs stand between empty lines.
func (s *speech) paragraphs(block string) []string {
	var all []string
	for paragraph := range strings.SplitSeq(s.say(block), "\n\n") {
		if paragraph = strings.Join(strings.Fields(paragraph), " "); paragraph != "" {
			all = append(all, paragraph)
		}
	}
	return all
}

func (s *speech) say(block string) string {
	var text strings.Builder
	if err := s.words.ExecuteTemplate(&text, block, s.said); err != nil && s.err == nil {
		s.err = err
	}
	return text.String()
}

// page says everything that a layout has a place for.
func (s *speech) page() laidOut {
	page := laidOut{
		Subject: s.line("subject"), Preheader: s.line("preheader"), Heading: s.line("heading"),
		Body:       append([]string{s.line("greeting")}, s.paragraphs("body")...),
		AsideTitle: s.line("aside-title"), Aside: s.paragraphs("aside"),
		Button: s.line("button"), TotalLabel: s.line("total"), AddressLabel: s.line("address"),
		OrderWord: s.line("order"), Shop: s.line("shop"), Tagline: s.line("tagline"), Footer: s.line("footer"),
	}
	for _, one := range []fact{
		{s.line("carrier"), s.said.Carrier}, {s.line("tracking-number"), s.said.TrackingNumber},
	} {
		if one.Value != "" {
			page.Facts = append(page.Facts, one)
		}
	}
	return page
}

// Shop is the shop's name.
func (w *Writer) Shop() string {
	return (&speech{words: w.words[Placed]}).line("shop")
}
