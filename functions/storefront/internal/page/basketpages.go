package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// maxForm is more than any form of ours comes to.
const maxForm = 64 << 10

// basketLine is one line of the basket at today's price.
type basketLine struct {
	item

	Quantity int
	Total    events.Money
	// Short says that there are fewer than asked for.
	Short bool
}

// pricedBasket is the basket as the customer sees it.
type pricedBasket struct {
	Lines []basketLine
	Total events.Money
	Short bool
}

// price leaves out what isn't sold any more.
func (s *site) price(ctx context.Context, basket Basket) (pricedBasket, error) {
	products, err := s.Catalogue.Find(ctx, basket.skus()...)
	if err != nil {
		return pricedBasket{}, err
	}
	var priced pricedBasket
	for _, line := range basket {
		product, sold := products[line.SKU]
		if !sold {
			continue
		}
		total, err := product.Price.Times(line.Quantity)
		if err != nil {
			return pricedBasket{}, fmt.Errorf("add up basket: %w", err)
		}
		if priced.Total, err = add(priced.Total, total); err != nil {
			return pricedBasket{}, fmt.Errorf("add up basket: %w", err)
		}
		short := int64(line.Quantity) > product.Available
		priced.Short = priced.Short || short
		priced.Lines = append(priced.Lines, basketLine{item{product}, line.Quantity, total, short})
	}
	return priced, nil
}

func add(sum, amount events.Money) (events.Money, error) {
	if sum.Currency == "" {
		return amount, nil
	}
	return sum.Add(amount)
}

func (p pricedBasket) request() []checkout.Line {
	lines := make([]checkout.Line, len(p.Lines))
	for i, line := range p.Lines {
		lines[i] = checkout.Line{SKU: line.SKU, Quantity: line.Quantity}
	}
	return lines
}

// Seal is the same for as long as the same articles are in the basket at the same
// prices. A form carries that of what its customer was shown.
func (p pricedBasket) Seal() string {
	sum := sha256.New()
	for _, line := range p.Lines {
		fmt.Fprintf(sum, "%s %d %s\n", line.SKU, line.Quantity, line.Price)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func (s *site) basket(w http.ResponseWriter, r *http.Request) error {
	priced, err := s.price(r.Context(), readBasket(r))
	if err != nil {
		return err
	}
	added := ""
	for _, line := range priced.Lines {
		if line.SKU == r.URL.Query().Get("added") {
			added = line.Name
		}
	}
	return s.show(w, r, "basket", http.StatusOK, struct {
		frame

		Priced      pricedBasket
		Added       string
		MaxQuantity int
	}{s.frame(r, say("Your basket")), priced, added, checkout.MaxQuantity})
}

// parseForm reads a form, bounded in size and time.
func (s *site) parseForm(w http.ResponseWriter, r *http.Request) error {
	// It is only a courtesy; a server without deadlines has its own bounds.
	_ = http.NewResponseController(w).SetReadDeadline(s.Now().Add(s.BodyTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return problem.Malformed("The form couldn’t be read.")
	}
	return nil
}

func (s *site) addToBasket(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	sku := r.PostForm.Get("sku")
	sold, err := s.Catalogue.Find(r.Context(), sku)
	if err != nil {
		return err
	}
	quantity, err := strconv.Atoi(r.PostForm.Get("quantity"))
	if _, ok := sold[sku]; !ok || err != nil || quantity < 1 {
		return problem.Malformed("Choose how many you’d like, from 1 up.")
	}
	readBasket(r).Add(sku, quantity).write(w, s.Secure)
	http.Redirect(w, r, "/basket?added="+url.QueryEscape(sku), http.StatusSeeOther)
	return nil
}

// changeBasket takes the quantities of all lines, and the one to be removed.
func (s *site) changeBasket(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	basket := readBasket(r)
	for _, line := range basket {
		// A quantity that can't be read stays as it was.
		if quantity, err := strconv.Atoi(strings.TrimSpace(r.PostForm.Get("quantity-" + line.SKU))); err == nil {
			basket = basket.Set(line.SKU, quantity)
		}
	}
	basket.Set(r.PostForm.Get("remove"), 0).write(w, s.Secure)
	http.Redirect(w, r, "/basket", http.StatusSeeOther)
	return nil
}
