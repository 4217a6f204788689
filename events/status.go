package events

import "slices"

// Status is where an order stands in its life.
type Status string

// The statuses of an order.
const (
	StatusPlaced           Status = "placed"
	StatusPaymentVerified  Status = "payment_verified"
	StatusInventoryUpdated Status = "inventory_updated"
	StatusShipped          Status = "shipped"
	StatusCancelled        Status = "cancelled"
)

// Reason says why an order was cancelled.
type Reason string

// The reasons for a cancellation.
const (
	ReasonPaymentDeclined Reason = "payment_declined"
	ReasonPaymentExpired  Reason = "payment_expired"
	ReasonOutOfStock      Reason = "out_of_stock"
	ReasonCustomerRequest Reason = "customer_request"
	ReasonOperatorRequest Reason = "operator_request"
)

// ReturnReason says why goods come back, or money without them.
type ReturnReason string

// The reasons for a return.
const (
	ReturnNotWanted  ReturnReason = "not_wanted"
	ReturnDamaged    ReturnReason = "damaged"
	ReturnWrongItem  ReturnReason = "wrong_item"
	ReturnLostInPost ReturnReason = "lost_in_post"
	ReturnGoodwill   ReturnReason = "goodwill"
)

// Statuses lists every status in the order of an order's life.
func Statuses() []Status {
	return []Status{StatusPlaced, StatusPaymentVerified, StatusInventoryUpdated, StatusShipped, StatusCancelled}
}

// Reasons lists every reason for a cancellation.
func Reasons() []Reason {
	return []Reason{ReasonPaymentDeclined, ReasonPaymentExpired, ReasonOutOfStock, ReasonCustomerRequest, ReasonOperatorRequest}
}

// ReturnReasons lists every reason for a return.
func ReturnReasons() []ReturnReason {
	return []ReturnReason{ReturnNotWanted, ReturnDamaged, ReturnWrongItem, ReturnLostInPost, ReturnGoodwill}
}

// Transitions is the one table of the moves an order may make. The frame's
// guard, the constraint in SQL and the documentation are held to it by tests.
func Transitions() map[Status][]Status {
	return map[Status][]Status{
		StatusPlaced:           {StatusPaymentVerified, StatusCancelled},
		StatusPaymentVerified:  {StatusInventoryUpdated, StatusCancelled},
		StatusInventoryUpdated: {StatusShipped, StatusCancelled},
		StatusShipped:          {},
		StatusCancelled:        {},
	}
}

// CanMove tells whether an order may go from one status to another in one step.
func CanMove(from, to Status) bool {
	return slices.Contains(Transitions()[from], to)
}

// CanReach tells whether an order in status from can ever come to status to.
// A status does not reach itself.
func CanReach(from, to Status) bool {
	for _, next := range Transitions()[from] {
		if next == to || CanReach(next, to) {
			return true
		}
	}
	return false
}

// Final tells whether an order in this status has nowhere to go.
func (s Status) Final() bool {
	next, known := Transitions()[s]
	return known && len(next) == 0
}

// Valid tells whether s is one of the statuses.
func (s Status) Valid() bool {
	return slices.Contains(Statuses(), s)
}
