package postgres_test

import (
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/shared/postgres"
)

func TestOrNull(t *testing.T) {
	t.Parallel()
	if postgres.OrNull("") != nil || postgres.OrNull(time.Time{}) != nil {
		t.Error("what isn't there is stored")
	}
	if got := postgres.OrNull("x"); got == nil || *got != "x" {
		t.Errorf("OrNull(x) = %v", got)
	}
}
