package kafkasource

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// mostOfUnit is what Knative can hold of each unit, an int16 of tenths: more
// makes a source that is never ready. PT1H is the same as PT3600S, and fine.
const mostOfUnit = 3276.7

// ParseDuration reads an ISO 8601 duration as manifests have them: "PT0.2S",
// "PT1M", "P1DT12H". Years, months and weeks, which have no fixed length or are
// days by another name, are refused.
func ParseDuration(text string) (time.Duration, error) {
	// Compiled per call: durations are read once, at the start.
	form := regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("parse duration %q: not of the form PnDTnHnMnS", text)
	}
	var total time.Duration
	found := false
	for i, unit := range []string{"h", "h", "m", "s"} {
		if parts[i+1] == "" {
			continue
		}
		if number, err := strconv.ParseFloat(parts[i+1], 64); err != nil || number > mostOfUnit {
			return 0, fmt.Errorf("parse duration %q: Knative has no room for more than %g of a unit", text, mostOfUnit)
		}
		part, err := time.ParseDuration(parts[i+1] + unit)
		if err != nil {
			return 0, fmt.Errorf("parse duration %q: %w", text, err)
		}
		if i == 0 {
			part *= 24
		}
		total, found = total+part, true
	}
	if !found || strings.HasSuffix(text, "T") {
		return 0, fmt.Errorf("parse duration %q: no amount", text)
	}
	return total, nil
}
