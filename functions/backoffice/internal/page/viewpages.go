package page

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/plot"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
)

type mailPage struct {
	frame

	Mails    []book.Mail
	OnlyOpen bool
	NextLink string
}

func (s *site) mail(w http.ResponseWriter, r request) error {
	query := r.URL.Query()
	page := mailPage{frame: s.frame(w, r, "Mail", "/mail"), OnlyOpen: query.Get("only") == "unsent"}
	before, change, _ := strings.Cut(query.Get("before"), " ")
	order, err := uuid.Parse(before)
	if before != "" && err != nil {
		return book.ErrNoSuch
	}
	mails, more, err := s.Book.Mails(r.Context(), order, change, page.OnlyOpen)
	if err != nil {
		return err
	}
	page.Mails = mails
	if more {
		last := mails[len(mails)-1]
		query.Set("before", last.Order.String()+" "+last.Change)
		page.NextLink = "/mail?" + query.Encode()
	}
	return s.pages.render(w, "mail", http.StatusOK, page)
}

type checksPage struct {
	frame

	Checks   []book.Check
	Audits   []book.Audit
	NextLink string
}

// auditsPerPage is how many audits are listed below the checks.
const auditsPerPage = 20

func (s *site) checks(w http.ResponseWriter, r request) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // what is no number begins at the last
	checks, err := s.Book.Checks(r.Context())
	if err != nil {
		return err
	}
	audits, err := s.Book.Audits(r.Context(), before, auditsPerPage+1)
	if err != nil {
		return err
	}
	page := checksPage{frame: s.frame(w, r, "Checks", "/checks"), Checks: checks, Audits: audits}
	if len(audits) > auditsPerPage {
		page.Audits = audits[:auditsPerPage]
		page.NextLink = "/checks?before=" + strconv.FormatInt(page.Audits[auditsPerPage-1].ID, 10)
	}
	return s.pages.render(w, "checks", http.StatusOK, page)
}

type figuresPage struct {
	frame
	book.Series

	Spans  []book.Span
	Plots  []plot.Plot
	Top    []analytics.Sold
	Stages []book.StageTime
}

func (s *site) figures(w http.ResponseWriter, r request) error {
	series, err := s.Book.Series(r.Context(), book.SpanOf(r.URL.Query().Get("span")))
	if err != nil {
		return err
	}
	stages, err := s.Book.StageTimes(r.Context())
	if err != nil {
		return err
	}
	return s.pages.render(w, "figures", http.StatusOK, figuresPage{
		frame: s.frame(w, r, "Figures", "/figures"), Series: series, Spans: book.Spans(), Plots: plot.Plots(), Top: series.Totals.Top(10), Stages: stages,
	})
}

func (s *site) plot(w http.ResponseWriter, r request) error {
	found, known := plot.Find(r.PathValue("name"))
	if !known {
		return book.ErrNoSuch
	}
	query := r.URL.Query()
	series, err := s.Book.Series(r.Context(), book.SpanOf(query.Get("span")))
	if err != nil {
		return err
	}
	drawn, err := found.Draw(series, query.Get("dark") == "1")
	if err != nil {
		return err
	}
	// A picture's own styles are no page's: opened by itself it may have no others.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Write(drawn) //nolint:errcheck,gosec // the client has left
	return nil
}

type trailPage struct {
	frame

	Entries  []trail.Entry
	NextLink string
}

func (s *site) showTrail(w http.ResponseWriter, r request) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // what is no number begins at the last
	entries, err := s.Trail.Page(r.Context(), before, book.PageSize+1)
	if err != nil {
		return err
	}
	page := trailPage{frame: s.frame(w, r, "Audit trail", "/trail"), Entries: entries}
	if len(entries) > book.PageSize {
		page.Entries = entries[:book.PageSize]
		page.NextLink = "/trail?" + url.Values{"before": {strconv.FormatInt(page.Entries[book.PageSize-1].ID, 10)}}.Encode()
	}
	return s.pages.render(w, "trail", http.StatusOK, page)
}
