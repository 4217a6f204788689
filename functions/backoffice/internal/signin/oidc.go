package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ProviderConfig is how people sign in by an OpenID provider.
type ProviderConfig struct {
	// Issuer is the provider's address. Empty is none.
	Issuer       string `env:"BACKOFFICE_OIDC_ISSUER"`
	ClientID     string `env:"BACKOFFICE_OIDC_CLIENT_ID"`
	ClientSecret string `env:"BACKOFFICE_OIDC_CLIENT_SECRET"`
	// Scopes are asked for besides openid and profile.
	Scopes []string `env:"BACKOFFICE_OIDC_SCOPES"`
	// NameClaim is what the audit trail calls people.
	NameClaim string `env:"BACKOFFICE_OIDC_NAME_CLAIM" envDefault:"preferred_username"`
	// RolesClaim is where their roles are: a text, a list, or an object by role, also
	// within others: realm_access.roles.
	RolesClaim string `env:"BACKOFFICE_OIDC_ROLES_CLAIM" envDefault:"roles"`
	// Roles are our roles by the provider's: orderflow-admins=admin.
	Roles map[string]string `env:"BACKOFFICE_OIDC_ROLES" envKeyValSeparator:"="`
}

// The ways in which a round trip to the provider comes to nothing.
var (
	// ErrAway says that the provider doesn't answer as one.
	ErrAway = errors.New("the sign-in provider doesn't answer")
	// ErrRefused says that what came back isn't what was asked for.
	ErrRefused = errors.New("the sign-in can't be believed")
	// ErrNoRole says that somebody is known, and has no role here.
	ErrNoRole = errors.New("no role")
)

// providerTimeout bounds each request to the provider.
const providerTimeout = 5 * time.Second

// Provider signs people in by the code flow with PKCE, state and nonce.
type Provider struct {
	config   ProviderConfig
	redirect string
	mapping  Mapping
	client   *http.Client
	now      func() time.Time

	mu   sync.Mutex
	once *oidc.Provider
}

// NewProvider makes a provider, whom nobody asks yet: a function starts without. It is
// nil where there is none. Home is our own address as people see it.
func NewProvider(config ProviderConfig, home string, transport http.RoundTripper, now func() time.Time) (*Provider, error) {
	if config.Issuer == "" {
		return nil, nil //nolint:nilnil // no provider is no mistake
	}
	mapping, err := NewMapping(config.Roles)
	switch {
	case err != nil:
		return nil, fmt.Errorf("BACKOFFICE_OIDC_ROLES: %w", err)
	case config.ClientID == "":
		return nil, errors.New("BACKOFFICE_OIDC_CLIENT_ID is not set, and BACKOFFICE_OIDC_ISSUER is")
	case len(mapping) == 0:
		return nil, errors.New("BACKOFFICE_OIDC_ROLES is not set: nobody would have a role")
	}
	return &Provider{
		config: config, redirect: strings.TrimRight(home, "/") + CallbackPath, mapping: mapping, now: now,
		client: &http.Client{Timeout: providerTimeout, Transport: transport},
	}, nil
}

// CallbackPath is where the provider sends people back to.
const CallbackPath = "/sign-in/callback"

// roundTrip is what must come back from the provider, and what is needed then.
type roundTrip struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

// discover asks the provider about itself, once it answers.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.once != nil {
		return p.once, nil
	}
	found, err := oidc.NewProvider(context.WithoutCancel(oidc.ClientContext(ctx, p.client)), p.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	p.once = found
	return found, nil
}

func (p *Provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.redirect,
		Scopes: append([]string{oidc.ScopeOpenID, "profile"}, p.config.Scopes...),
	}
}

// Leave returns the address at the provider to which somebody goes to sign in, and
// next is where they go after that. It returns ErrAway.
func (p *Provider) Leave(ctx context.Context, w http.ResponseWriter, cookies *Cookies, next string) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	trip := roundTrip{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: p.now().Add(roundTripFor),
	}
	if err := cookies.set(w, roundTripCookie, trip, roundTripFor); err != nil {
		return "", err
	}
	return p.oauth(found).AuthCodeURL(trip.State, oidc.Nonce(trip.Nonce), oauth2.S256ChallengeOption(trip.Verifier)), nil
}

// Return finds out who came back. It returns ErrRefused, ErrNoRole or ErrAway.
func (p *Provider) Return(ctx context.Context, w http.ResponseWriter, r *http.Request, cookies *Cookies) (who Session, next string, err error) {
	var trip roundTrip
	known := cookies.get(r, roundTripCookie, &trip)
	cookies.drop(w, roundTripCookie) // it is good for one trip
	query := r.URL.Query()
	switch {
	case !known || !p.now().Before(trip.Until):
		return who, "", fmt.Errorf("%w: it took too long, or was begun elsewhere", ErrRefused)
	case subtle.ConstantTimeCompare([]byte(trip.State), []byte(query.Get("state"))) != 1:
		return who, "", fmt.Errorf("%w: another state came back", ErrRefused)
	case query.Get("error") != "":
		return who, "", fmt.Errorf("%w: the provider refuses", ErrRefused) // its text is anybody's, who makes a link
	}
	claims, err := p.redeem(ctx, query.Get("code"), trip)
	if err != nil {
		return who, "", err
	}
	who, err = p.identify(claims)
	return who, trip.Next, err
}

// redeem changes the code for what the provider says of somebody.
func (p *Provider) redeem(ctx context.Context, code string, trip roundTrip) (map[string]any, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(trip.Verifier))
	if err != nil {
		if _, answered := errors.AsType[*oauth2.RetrieveError](err); answered {
			return nil, fmt.Errorf("%w: the provider doesn't take its code back", ErrRefused)
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := found.VerifierContext(ctx, &oidc.Config{ClientID: p.config.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(trip.Nonce)) != 1 {
		return nil, fmt.Errorf("%w: it was given for another sign-in", ErrRefused)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if lookup(claims, p.config.RolesClaim) != nil && lookup(claims, p.config.NameClaim) != nil {
		return claims, nil
	}
	return p.complete(ctx, found, token, claims)
}

// complete asks for what many providers don't say in the token, but when they are asked.
func (p *Provider) complete(ctx context.Context, found *oidc.Provider, token *oauth2.Token, claims map[string]any) (map[string]any, error) {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if more["sub"] != claims["sub"] {
		return nil, fmt.Errorf("%w: the provider tells of somebody else", ErrRefused)
	}
	maps.Copy(more, claims) // what is signed goes first
	return more, nil
}

func (p *Provider) identify(claims map[string]any) (Session, error) {
	subject, _ := claims["sub"].(string)
	name, _ := claims[p.config.NameClaim].(string)
	if name == "" {
		name = subject
	}
	who := Session{Name: name, Subject: "oidc:" + subject, Role: p.mapping.Of(texts(lookup(claims, p.config.RolesClaim)))}
	if who.Role == Nobody {
		return who, ErrNoRole
	}
	return who, nil
}

// lookup finds a claim by its name, or by the way to it, with dots between. Names of
// claims have dots, too, as those that are addresses.
func lookup(claims map[string]any, path string) any {
	if value, found := claims[path]; found {
		return value
	}
	first, rest, dotted := strings.Cut(path, ".")
	inner, is := claims[first].(map[string]any)
	if !dotted || !is {
		return nil
	}
	return lookup(inner, rest)
}

// texts are the roles of a claim, in any of the forms that providers have for it.
func texts(claim any) []string {
	switch value := claim.(type) {
	case string:
		return strings.Fields(value)
	case map[string]any:
		return slices.Collect(maps.Keys(value))
	case []any:
		var all []string
		for _, one := range value {
			if text, is := one.(string); is {
				all = append(all, text)
			}
		}
		return all
	default:
		return nil
	}
}
