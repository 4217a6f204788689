package letter

import (
	"strings"
	"unicode"
)

// The longest name and the longest other text that a letter repeats, in runes.
const (
	maxName = 70
	maxText = 120
)

// PlainName makes of whatever somebody gave as a name something that can stand
// in a greeting and in a mail header. A shop's mail goes to an address that
// nobody has verified yet, so the name must not carry a message of its own to a
// stranger: marks that make headers, markup or links are left out.
func PlainName(name string) string {
	var plain strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		inWord := i+1 < len(runes) && (unicode.IsLetter(runes[i+1]) || unicode.IsDigit(runes[i+1]))
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r), isJoiner(r), strings.ContainsRune("'’-", r):
			plain.WriteRune(r)
		case r == '.' && !inWord: // an initial, not a host name
			plain.WriteRune(r)
		default:
			plain.WriteRune(' ')
		}
	}
	return shorten(strings.Join(strings.Fields(plain.String()), " "), maxName)
}

// plainText is text on one line, without characters that can't be seen or that
// turn the reading direction.
func plainText(text string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r) && !isJoiner(r), r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, text)
	return shorten(strings.Join(strings.Fields(visible), " "), maxText)
}

// isJoiner tells the two invisible characters that some scripts are spelt with.
func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}
