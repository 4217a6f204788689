package kafkasource

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

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
