package page

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/stockroom"
)

type stockPage struct {
	frame

	Articles []book.Article
	OnlyLow  bool
	Low      int64
	NextLink string
}

func (s *site) stock(w http.ResponseWriter, r request) error {
	query := r.URL.Query()
	page := stockPage{frame: s.frame(w, r, "Stock", "/stock"), OnlyLow: query.Get("low") == "1", Low: s.Low}
	articles, next, err := s.Book.Stock(r.Context(), query.Get("after"), page.OnlyLow, s.Low)
	if err != nil {
		return err
	}
	page.Articles = articles
	if next != "" {
		query.Set("after", next)
		page.NextLink = "/stock?" + query.Encode()
	}
	return s.pages.render(w, "stock", http.StatusOK, page)
}

type articlePage struct {
	frame
	stockroom.Account

	Acts []trail.Entry
}

// transfers is how many of the last transfers are shown.
const transfers = 50

func (s *site) article(w http.ResponseWriter, r request) error {
	account, err := s.account(r)
	if err != nil {
		return err
	}
	acts, err := s.Trail.On(r.Context(), "article "+account.SKU)
	if err != nil {
		return err
	}
	return s.pages.render(w, "article", http.StatusOK, articlePage{s.frame(w, r, account.Name, "/stock"), account, acts})
}

func (s *site) account(r request) (stockroom.Account, error) {
	return s.Room.Show(r.Context(), strings.ToUpper(r.PathValue("sku")), transfers)
}

// quantity reads a number of units.
func quantity(r request) (int64, error) {
	units, err := strconv.ParseInt(strings.TrimSpace(r.PostForm.Get("quantity")), 10, 32)
	if err != nil || units == 0 {
		return 0, problem{http.StatusUnprocessableEntity, "How many?", "Nothing was done. Please go back and write a whole number of units."}
	}
	return units, nil
}

func (s *site) receive(w http.ResponseWriter, r request) error {
	account, err := s.account(r)
	if err != nil {
		return err
	}
	units, err := quantity(r)
	if err != nil {
		return err
	}
	reference := strings.TrimSpace(r.PostForm.Get("reference"))
	if units < 0 || reference == "" || len(reference) > 100 {
		return problem{http.StatusUnprocessableEntity, "What came?", "Nothing was done. Goods that came are one unit or more, by the number of their delivery."}
	}
	return s.perform(w, r, deed{
		action: "receive goods", target: "article " + account.SKU, details: map[string]string{"quantity": strconv.FormatInt(units, 10), "reference": reference},
		heading: fmt.Sprintf("Receive %s × %s?", count(units), account.Name), button: "Receive", back: "/stock/" + url.PathEscape(account.SKU),
		says: []string{fmt.Sprintf("%s are free now, and would be %s. The reference %s stands for this delivery, however often it is entered.", count(account.Available), count(account.Available+units), reference)},
		do: func(ctx context.Context) (string, error) {
			act := stockroom.Act{By: r.who.Name, Reference: reference, Reason: reason(r)}
			return acted(s.Room.Receive(ctx, []stockroom.Line{{SKU: account.SKU, Quantity: units}}, act))
		},
	})
}

func (s *site) adjust(w http.ResponseWriter, r request) error {
	account, err := s.account(r)
	if err != nil {
		return err
	}
	units, err := quantity(r)
	if err != nil {
		return err
	}
	// Made with the question, so that the answer counts once, however often it is sent.
	reference := r.PostForm.Get("reference")
	if len(reference) != len("count-")+len(rand.Text()) || !strings.HasPrefix(reference, "count-") {
		reference = "count-" + rand.Text()
	}
	return s.perform(w, r, deed{
		action: "adjust stock", target: "article " + account.SKU, details: map[string]string{"quantity": strconv.FormatInt(units, 10), "reference": reference},
		heading: fmt.Sprintf("Adjust %s by %+d?", account.Name, units), button: "Adjust", back: "/stock/" + url.PathEscape(account.SKU),
		says:  []string{fmt.Sprintf("%s are on hand, and would be %s; %s of them are reserved for orders.", count(account.OnHand), count(account.OnHand+units), count(account.Reserved))},
		extra: map[string]string{"reference": reference}, needsReason: true,
		do: func(ctx context.Context) (string, error) {
			act := stockroom.Act{By: r.who.Name, Reference: reference, Reason: reason(r)}
			return acted(s.Room.Adjust(ctx, []stockroom.Line{{SKU: account.SKU, Quantity: units}}, act))
		},
	})
}

// acted says what became of it.
func acted(done stockroom.Done, err error) (string, error) {
	switch {
	case errors.Is(err, stockroom.ErrReserved):
		return "", trail.Refused{Why: "Not so many are free: orders hold the others."}
	case errors.Is(err, stockroom.ErrReference):
		return "", trail.Refused{Why: "This reference stands for something else already."}
	case err != nil:
		return "", err
	case done.Before:
		return "It was on record already, by " + done.By + ": nothing was done now.", nil
	default:
		return "It is on record, and counts from now on.", nil
	}
}
