package signin

import (
	"net/url"
	"strings"
)

// Next is where somebody goes after signing in: to a page of ours, however it was
// asked for. What a browser might take for another site is the first page instead.
func Next(asked string) string {
	parsed, err := url.Parse(asked)
	switch {
	case err != nil, parsed.Scheme != "", parsed.Host != "", parsed.User != nil, parsed.Opaque != "":
	case !strings.HasPrefix(asked, "/"), strings.HasPrefix(asked, "//"), strings.ContainsAny(asked, "\\\x00\r\n\t"):
	case strings.HasPrefix(parsed.Path, "//"), strings.Contains(parsed.Path, "\\"), strings.HasPrefix(parsed.Path, "/sign-"):
	default:
		return parsed.RequestURI()
	}
	return "/"
}
