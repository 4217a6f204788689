package postgres

// OrNull is how a value that may be missing is stored: its zero value is null.
func OrNull[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}
