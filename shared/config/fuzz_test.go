package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/shared/config"
)

// FuzzParse reads settings of any values. What is wrong is said by the variable's
// name and never by its value, which may be a secret.
func FuzzParse(f *testing.F) {
	for _, value := range []string{"", "1", "-1", "1s", "9223372036854775808", "true", "\x00", "\xff", "a=b", "${HOME}", strings.Repeat("x", 5000), "1h1", "٣", "postgres://u:hunter2hunter2@h/d"} {
		f.Add(value, value)
		f.Add("7", value)
	}
	f.Fuzz(func(t *testing.T, number, other string) {
		type settings struct {
			Number   int               `env:"FUZZ_NUMBER"`
			Duration time.Duration     `env:"FUZZ_DURATION" envDefault:"5s"`
			Truth    bool              `env:"FUZZ_TRUTH"`
			Text     string            `env:"FUZZ_TEXT,required,notEmpty"`
			Table    map[string]string `env:"FUZZ_TABLE"`
		}
		parsed, err := config.Parse[settings](map[string]string{
			"FUZZ_NUMBER": number, "FUZZ_DURATION": other, "FUZZ_TRUTH": other, "FUZZ_TEXT": other, "FUZZ_TABLE": other,
		})
		if err == nil {
			if parsed.Text != other || parsed.Text == "" {
				t.Errorf("%q is read as %q", other, parsed.Text)
			}
			return
		}
		if !strings.Contains(err.Error(), "FUZZ_") {
			t.Errorf("the error names no variable: %v", err)
		}
		for _, secret := range []string{number, other} {
			if len(secret) > 8 && strings.Contains(err.Error(), secret) {
				t.Errorf("the error says a value: %v", err)
			}
		}
	})
}
