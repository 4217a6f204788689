package signin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"regexp"
	"time"

	"golang.org/x/time/rate"
)

// minPassword is the shortest password, in characters.
const minPassword = 16

const (
	// triesAtOnce are how many wrong passwords are looked at one after the other, and
	// a new one each triesEvery: a password of 16 random characters outlasts that. The
	// limit is each process's own, and for all who try: whose address is told by a
	// proxy has as many addresses as he likes.
	triesAtOnce = 10
	triesEvery  = 2 * time.Second
)

// The ways in which a password doesn't let somebody in.
var (
	// ErrWrong says that it is another one, or the name can't be one.
	ErrWrong = errors.New("wrong name or password")
	// ErrTooMany says that it wasn't looked at, after too many wrong ones.
	ErrTooMany = errors.New("too many wrong passwords")
)

// Password lets in who knows the operators' password, under any name.
type Password struct {
	sum   [sha256.Size]byte
	tries *rate.Limiter
	now   func() time.Time
}

// NewPassword makes the door for a password. It is nil for an empty one, which lets
// nobody in.
func NewPassword(password string, now func() time.Time) (*Password, error) {
	if password == "" {
		return nil, nil //nolint:nilnil // no door is no mistake
	}
	if len(password) < minPassword {
		return nil, errors.New("BACKOFFICE_PASSWORD has fewer than 16 characters")
	}
	return &Password{sum: sha256.Sum256([]byte(password)), tries: rate.NewLimiter(rate.Every(triesEvery), triesAtOnce), now: now}, nil
}

var names = regexp.MustCompile(`^[\pL\pN][\pL\pN ._@-]{0,59}$`)

// Check says who somebody is, or returns ErrWrong or ErrTooMany. The time it takes
// tells nothing of the password: sums are compared, which are of one length.
func (p *Password) Check(name, password string) (subject string, err error) {
	if p.tries.TokensAt(p.now()) < 1 {
		return "", ErrTooMany
	}
	sum := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(sum[:], p.sum[:]) != 1 || !names.MatchString(name) {
		p.tries.AllowN(p.now(), 1)
		return "", ErrWrong
	}
	return "password:" + name, nil
}
