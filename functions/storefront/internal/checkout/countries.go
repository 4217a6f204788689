package checkout

import (
	_ "embed"
	"strings"
)

//go:embed countries.txt
var countries string

// Country is one that parcels go to.
type Country struct {
	// Code is its ISO 3166-1 alpha-2 code.
	Code string
	Name string
}

// Countries lists every country of ISO 3166-1 by name.
func Countries() []Country {
	var all []Country
	for line := range strings.Lines(countries) {
		code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, Country{Code: code, Name: name})
	}
	return all
}

func isCountry(code string) bool {
	return len(code) == 2 && strings.Contains("\n"+countries, "\n"+code+" ")
}
