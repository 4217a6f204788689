// Package awstest is as much of AWS as signing in needs: an STS that gives a
// pod's role temporary keys, and the check of what is signed with them. It is for
// tests only.
package awstest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Region is where everything is.
const Region = "eu-central-1"

const (
	role     = "arn:aws:iam::111122223333:role/orderflow-of-tests"
	identity = "a token that the cluster has signed"
)

// Keys are what somebody signs with.
type Keys struct {
	ID, Secret string
}

// Account is an AWS account with one role, that a pod may take on.
type Account struct {
	// Session goes with the keys wherever they are used.
	Session string

	keys Keys
	mu   sync.Mutex
	// asked is how often keys were asked for.
	asked int
}

// New makes the process a pod of a cluster whose role is the account's: it sets
// the variables that EKS would, so that a test with it can't be parallel. The
// role's temporary keys are the given ones.
func New(tb testing.TB, keys Keys) *Account {
	tb.Helper()
	a := &Account{Session: "a session", keys: keys}
	sts := httptest.NewServer(http.HandlerFunc(a.assumeRole))
	tb.Cleanup(sts.Close)
	dir := tb.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(identity), 0o600); err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_REGION": Region, "AWS_ENDPOINT_URL_STS": sts.URL,
		// Nothing of whoever runs the tests.
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
	} {
		tb.Setenv(name, value)
	}
	return a
}

// Asked is how often somebody asked STS for keys.
func (a *Account) Asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// assumeRole is AssumeRoleWithWebIdentity of STS.
func (a *Account) assumeRole(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked++
	a.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	asked := r.FormValue("Action") + " " + r.FormValue("RoleArn") + " " + r.FormValue("WebIdentityToken")
	if asked != "AssumeRoleWithWebIdentity "+role+" "+identity {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>`)
		return
	}
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>AROATEST:test</AssumedRoleId><Arn>%s</Arn></AssumedRoleUser>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
		a.keys.ID, a.keys.Secret, a.Session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), role)
}
