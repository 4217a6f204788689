package local

import (
	"regexp"
	"testing"
)

// TestInstanceIsOfTheSystem wants a dispatcher to have the name of the one before it,
// and of nobody else's, in characters that Kafka takes.
func TestInstanceIsOfTheSystem(t *testing.T) {
	t.Parallel()
	plan := func(state string) *plan { return &plan{Options: Options{State: state}} }
	name := plan("/here/.orderflow").instance()
	if again := plan("/here/.orderflow").instance(); again != name {
		t.Errorf("the same system's dispatcher is called %s, and then %s", name, again)
	}
	if other := plan("/there/.orderflow").instance(); other == name {
		t.Errorf("two systems' dispatchers are called %s", name)
	}
	if !regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(name) {
		t.Errorf("a dispatcher is called %q", name)
	}
}
