package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
)

// Basket is what a customer has put aside, in the order in which it was put.
// It lives in the customer's cookie: nothing of ours remembers who looks around.
type Basket []checkout.Line

const (
	basketCookie = "basket"
	formCookie   = "checkout"
	keepSeconds  = 30 * 24 * 60 * 60
)

// readBasket reads what it can: a cookie is the customer's to spoil.
func readBasket(r *http.Request) Basket {
	cookie, err := r.Cookie(basketCookie)
	if err != nil {
		return nil
	}
	var basket Basket
	for part := range strings.SplitSeq(cookie.Value, "_") {
		sku, quantity, _ := strings.Cut(part, ":")
		if number, err := strconv.Atoi(quantity); err == nil && len(sku) <= 32 {
			basket = basket.Add(sku, number)
		}
	}
	return basket
}

// write sends the basket to its customer for keeping.
func (b Basket) write(w http.ResponseWriter, secure bool) {
	parts := make([]string, len(b))
	for i, line := range b {
		parts[i] = line.SKU + ":" + strconv.Itoa(line.Quantity)
	}
	keep(w, secure, basketCookie, "/", strings.Join(parts, "_"))
}

// keep sets a cookie that is for our own pages and for no script; with nothing to
// keep, it takes it away.
func keep(w http.ResponseWriter, secure bool, name, path, value string) {
	//nolint:gosec // it is Secure wherever the shop is served by https; elsewhere browsers would throw it away
	cookie := &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: keepSeconds,
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// Add puts more of an article into the basket, as far as an order can hold it.
func (b Basket) Add(sku string, quantity int) Basket {
	i := b.index(sku)
	if i < 0 {
		return b.Set(sku, quantity)
	}
	return b.Set(sku, b[i].Quantity+min(max(quantity, 0), checkout.MaxQuantity)) //nolint:gosec // i is a place in b
}

// Set puts exactly so many of an article into the basket; none takes it out.
func (b Basket) Set(sku string, quantity int) Basket {
	changed := slices.Clone(b)
	quantity = min(quantity, checkout.MaxQuantity)
	i := b.index(sku)
	switch {
	case i >= 0 && quantity < 1:
		return slices.Delete(changed, i, i+1)
	case i >= 0:
		changed[i].Quantity = quantity
		return changed
	case quantity < 1 || len(b) >= checkout.MaxLines:
		return changed
	}
	return append(changed, checkout.Line{SKU: sku, Quantity: quantity})
}

// Count is the number of pieces.
func (b Basket) Count() int {
	count := 0
	for _, line := range b {
		count += line.Quantity
	}
	return count
}

func (b Basket) skus() []string {
	skus := make([]string, len(b))
	for i, line := range b {
		skus[i] = line.SKU
	}
	return skus
}

func (b Basket) index(sku string) int {
	return slices.IndexFunc(b, func(line checkout.Line) bool { return line.SKU == sku })
}
