package function_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
)

// directory are the people that the provider knows, with what it says their roles are.
type directory map[string][]string

func (d directory) GetUserByID(id string) *storage.User { return d.GetUserByUsername(id) }

func (d directory) GetUserByUsername(name string) *storage.User {
	if _, known := d[name]; !known {
		return nil
	}
	return &storage.User{ID: name, Username: name, Password: "of-" + name}
}

func (directory) ExampleClientID() string { return "none" }

// provider is the storage of a certified OpenID provider, which tells roles.
type provider struct {
	*storage.Storage

	people directory
}

func (p provider) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("realm_access", map[string]any{"roles": p.people[subject]})
	return p.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// withProvider opens a back office whose people sign in by a real provider.
func withProvider(t *testing.T, settings map[string]string) *office {
	t.Helper()
	people := directory{"ada": {"shop-admin", "shop-viewer"}, "vera": {"shop-viewer"}, "nora": {"somebody-elses-role"}}
	redirect := "http://office.test" + signin.CallbackPath
	clients := map[string]*storage.Client{"office": storage.WebClient("office", "a-secret", redirect)}
	server := httptest.NewUnstartedServer(nil)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	issuer := (&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}).String()
	server.Config.Handler = exampleop.SetupServer(issuer, provider{storage.NewStorageWithClients(people, clients), people}, nil, false)
	server.Start()
	t.Cleanup(server.Close)
	all := map[string]string{
		"BACKOFFICE_PASSWORD": "", "BACKOFFICE_OIDC_ISSUER": issuer, "BACKOFFICE_OIDC_CLIENT_ID": "office", "BACKOFFICE_OIDC_CLIENT_SECRET": "a-secret",
		"BACKOFFICE_OIDC_ROLES_CLAIM": "realm_access.roles", "BACKOFFICE_OIDC_ROLES": "shop-viewer=viewer,shop-admin=admin",
	}
	maps.Copy(all, settings)
	return open(t, all)
}

// leave begins to sign in, and returns the address that the provider sends somebody
// back to, as a path.
func (p *person) leave(name string) string {
	p.t.Helper()
	there := p.get("/sign-in/provider?next=/stock%3Flow%3D1").want(p.t, http.StatusSeeOther).header.Get("Location")
	asked, err := url.Parse(there)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, needed := range []string{"state", "nonce", "code_challenge"} {
		if len(asked.Query().Get(needed)) < 20 {
			p.t.Fatalf("the provider is asked without %s: %s", needed, there)
		}
	}
	browser := &http.Client{CheckRedirect: p.client.CheckRedirect}
	next := func(request *http.Request, err error) *url.URL {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
		response, err := browser.Do(request)
		if err != nil {
			p.t.Fatal(err)
		}
		response.Body.Close()
		location, err := response.Location()
		if err != nil {
			p.t.Fatalf("%s answered %d", request.URL, response.StatusCode)
		}
		return location
	}
	login := next(http.NewRequestWithContext(p.t.Context(), http.MethodGet, there, nil))
	form := url.Values{"id": {login.Query().Get("authRequestID")}, "username": {name}, "password": {"of-" + name}}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, login.Scheme+"://"+login.Host+"/login/username", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	callback := next(request, nil)
	back := next(http.NewRequestWithContext(p.t.Context(), http.MethodGet, callback.String(), nil))
	if back.Host != "office.test" {
		p.t.Fatalf("the provider sends to %s", back)
	}
	return back.RequestURI()
}

func TestSignInByAProvider(t *testing.T) {
	t.Parallel()
	o := withProvider(t, nil)
	vera := o.visitor()
	back := vera.leave("vera")
	if next := vera.get(back).want(t, http.StatusSeeOther).header.Get("Location"); next != "/stock?low=1" {
		t.Errorf("signed in, vera goes to %s", next)
	}
	vera.get("/").want(t, http.StatusOK, "vera, viewer")
	vera.get("/trail").want(t, http.StatusForbidden, "needs the role admin")
	ada := o.visitor()
	ada.get(ada.leave("ada")).want(t, http.StatusSeeOther)
	ada.get("/trail").want(t, http.StatusOK, "ada, admin", "sign in")
	if n := o.number(`select count(*) from operator_acts where action = 'sign in' and subject in ('oidc:ada', 'oidc:vera')`); n != 2 {
		t.Errorf("%d sign-ins are on record, want 2", n)
	}
	// The code is good once, and so is the state.
	vera.get(back).want(t, http.StatusForbidden)
}

func TestProviderKnowsNoRole(t *testing.T) {
	t.Parallel()
	o := withProvider(t, nil)
	nora := o.visitor()
	nora.get(nora.leave("nora")).want(t, http.StatusForbidden, "You have no role here")
	nora.get("/").want(t, http.StatusSeeOther)
}

// What comes back from the provider counts for who went there, and as it was asked for.
func TestSignInOfSomebodyElse(t *testing.T) {
	t.Parallel()
	o := withProvider(t, nil)
	mallory, victim := o.visitor(), o.visitor()
	back := mallory.leave("ada")
	victim.get(back).want(t, http.StatusForbidden) // with no trip of their own
	victim.leave("vera")
	victim.get(back).want(t, http.StatusForbidden) // with another state
	victim.get("/").want(t, http.StatusSeeOther)
	again := mallory.leave("ada")
	mallory.get(strings.Replace(again, "state=", "state=x", 1)).want(t, http.StatusForbidden)
	refused := mallory.leave("ada")
	parsed, err := url.Parse(refused)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set("code", "another")
	mallory.get(parsed.Path+"?"+query.Encode()).want(t, http.StatusForbidden)
	mallory.get("/").want(t, http.StatusSeeOther)
}

func TestProviderIsAway(t *testing.T) {
	t.Parallel()
	o := withProvider(t, map[string]string{"BACKOFFICE_OIDC_ISSUER": "http://127.0.0.1:1"})
	o.visitor().get("/sign-in/provider").want(t, http.StatusServiceUnavailable, "doesn’t answer")
	o.visitor().get("/sign-in").want(t, http.StatusOK, "Sign in with your account")
}
