// Package order shows an order to its customer: where it stands, and what
// happened when.
package order

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
)

// View is an order as its customer may see it. It has no personal data: a link
// to an order gets shared, an address shouldn't be.
type View struct {
	ID           uuid.UUID     `json:"id"`
	Number       string        `json:"number"`
	Status       events.Status `json:"status"`
	CancelReason events.Reason `json:"cancel_reason,omitempty"`
	Cancellable  bool          `json:"cancellable"`
	PlacedAt     time.Time     `json:"placed_at"`
	UpdatedAt    time.Time     `json:"updated_at"`
	Total        events.Money  `json:"total"`
	Lines        []Line        `json:"lines"`
	// Payment is what became of the money, as far as it is known.
	Payment  *Payment  `json:"payment,omitempty"`
	Shipment *Shipment `json:"shipment,omitempty"`
	// Timeline lists what happened, the oldest first.
	Timeline []Step `json:"timeline"`
}

// Line is one article of an order at the price it was ordered for.
type Line struct {
	SKU      string       `json:"sku"`
	Name     string       `json:"name"`
	Quantity int          `json:"quantity"`
	Price    events.Money `json:"price"`
	Total    events.Money `json:"total"`
}

// Payment tells where the money is.
type Payment struct {
	// State is authorised, captured, voided, refunded or declined.
	State string `json:"state"`
}

// Shipment tells where the parcel is.
type Shipment struct {
	Carrier        string `json:"carrier"`
	TrackingNumber string `json:"tracking_number"`
}

// Step is one thing that happened.
type Step struct {
	// Position only grows; it is the id of the server-sent event.
	Position int64         `json:"position"`
	Event    string        `json:"event"`
	Status   events.Status `json:"status"`
	At       time.Time     `json:"at"`
	// Refund is what a return gives back, in minor units of the order's currency.
	Refund int64 `json:"refund,omitempty"`
}

// Returned tells whether the step is a return.
func (s Step) Returned() bool { return events.TopicOf(s.Event) == "order-returned" }

// Refunded is what the returns of the order give back, in all.
func (v View) Refunded() events.Money {
	back := events.Money{Currency: v.Total.Currency}
	for _, step := range v.Timeline {
		back.Amount += step.Refund
	}
	return back
}

// Position is that of the last step.
func (v View) Position() int64 {
	if len(v.Timeline) == 0 {
		return 0
	}
	return v.Timeline[len(v.Timeline)-1].Position
}

// Settled tells whether nothing more will happen: the order has shipped, or it
// is cancelled and its money is free again.
func (v View) Settled() bool {
	return v.Status.Final() && (v.Payment == nil || v.Payment.State != "authorised")
}

// AsOf is the order as it was after the step with the given index.
func (v View) AsOf(step int) View {
	v.Timeline = v.Timeline[:step+1]
	last := v.Timeline[step]
	v.Status, v.UpdatedAt = last.Status, last.At
	v.Cancellable = events.CanMove(v.Status, events.StatusCancelled)
	if v.Status != events.StatusCancelled {
		v.CancelReason = ""
	}
	if v.Status != events.StatusShipped {
		v.Shipment = nil
	}
	return v
}
