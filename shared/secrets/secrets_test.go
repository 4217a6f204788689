package secrets_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/shared/awsauth/awstest"
	"github.com/orderflow-project/orderflow/shared/secrets"
)

const fullName = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:orderflow/sendgrid-AbCdEf"

// newSecrets starts a Secrets Manager for the role of the process.
func newSecrets(t *testing.T) (*awstest.Account, *awstest.Secrets) {
	t.Helper()
	account := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "the role's"})
	return account, account.Secrets(t, map[string]awstest.Secret{
		"orderflow/postgres": {SecretString: `{"url": "postgres://hunter2@db", "port": 5432}`},
		"orderflow/token":    {SecretString: "hunter2#and more"},
		fullName:             {SecretString: `{"key": "SG.hunter2"}`},
		"orderflow/binary":   {SecretBinary: []byte("hunter2")},
	})
}

// These aren't parallel, as the account sets variables of the process.

func TestResolve(t *testing.T) {
	account, manager := newSecrets(t)
	given := map[string]string{
		"DATABASE_URL":     "secretsmanager:orderflow/postgres#url",
		"DATABASE_URL_TOO": "secretsmanager:orderflow/postgres#url",
		"ORDER_TOKEN_KEY":  "secretsmanager:orderflow/token",
		"SENDGRID_API_KEY": "secretsmanager:" + fullName + "#key",
		"SHOP_URL":         "https://shop.example.com/#secretsmanager:",
	}
	before := maps.Clone(given)
	got, err := secrets.Resolve(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"DATABASE_URL": "postgres://hunter2@db", "DATABASE_URL_TOO": "postgres://hunter2@db", "ORDER_TOKEN_KEY": "hunter2#and more",
		"SENDGRID_API_KEY": "SG.hunter2", "SHOP_URL": "https://shop.example.com/#secretsmanager:",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Resolve() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, given); diff != "" {
		t.Errorf("Resolve() changed what it was given (-before +after):\n%s", diff)
	}
	if asked := manager.Asked(); len(asked) != 3 || account.Asked() != 1 {
		t.Errorf("asked for the secrets %v and %d times for keys, want each once", asked, account.Asked())
	}
}

func TestResolveNothing(t *testing.T) {
	account, manager := newSecrets(t)
	given := map[string]string{"DATABASE_URL": "postgres://db", "LABEL_BUCKET": ""}
	got, err := secrets.Resolve(t.Context(), given)
	if diff := cmp.Diff(given, got); err != nil || diff != "" {
		t.Errorf("Resolve() = %v (-want +got):\n%s", err, diff)
	}
	if len(manager.Asked()) != 0 || account.Asked() != 0 {
		t.Error("AWS was asked, want it left alone where nothing refers to it")
	}
}

func TestWhatCannotBeResolvedIsNamed(t *testing.T) {
	newSecrets(t)
	for reference, want := range map[string]string{
		"orderflow/none":          "AWS answers ResourceNotFoundException: Secrets Manager can't find the specified secret.",
		"orderflow/postgres#user": "the secret's JSON has no string of that key",
		"orderflow/postgres#port": "the secret's JSON has no string of that key",
		"orderflow/token#url":     "the secret isn't a JSON object",
		"orderflow/binary":        "the secret is binary, want text",
		"orderflow/postgres#":     "want secretsmanager:<secret>, or secretsmanager:<secret>#<key of its JSON>",
		"":                        "want secretsmanager:<secret>, or secretsmanager:<secret>#<key of its JSON>",
		"arn:aws:secretsmanager:us-east-1:111122223333:secret:orderflow/none-AbCdEf": "AWS answers InvalidSignatureException",
	} {
		_, err := secrets.Resolve(t.Context(), map[string]string{
			"DATABASE_URL": "secretsmanager:" + reference, "A": "secretsmanager:orderflow/none", "ORDER_TOKEN_KEY": "hunter2",
		})
		if err == nil {
			t.Errorf("Resolve() took the reference %q", reference)
			continue
		}
		for _, want := range []string{"environment: A is in secretsmanager:orderflow/none: ", "; DATABASE_URL is in secretsmanager:" + reference + ": " + want} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Resolve() = %q, want it to say %q", err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve() = %q, which repeats a secret", err)
		}
	}
}

func TestWithoutRegion(t *testing.T) {
	newSecrets(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	reference := map[string]string{"DATABASE_URL": "secretsmanager:orderflow/postgres#url"}
	if _, err := secrets.Resolve(t.Context(), reference); err == nil || !strings.Contains(err.Error(), "AWS_REGION isn't set") {
		t.Errorf("Resolve() = %v, want it to say that there is no region", err)
	}
	reference["AWS_REGION"] = awstest.Region
	if _, err := secrets.Resolve(t.Context(), reference); err != nil {
		t.Errorf("Resolve() with a region of the function's = %v", err)
	}
}

// A pod whose role nobody knows asks in vain.
func TestStranger(t *testing.T) {
	newSecrets(t)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/another")
	_, err := secrets.Resolve(t.Context(), map[string]string{"DATABASE_URL": "secretsmanager:orderflow/postgres#url"})
	if err == nil || !strings.Contains(err.Error(), "DATABASE_URL is in secretsmanager:orderflow/postgres#url: ") || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("Resolve() = %v, want it to say that access is denied", err)
	}
}

func ExampleResolve() {
	environment, err := secrets.Resolve(context.Background(), map[string]string{"SHOP_URL": "https://shop.example.com"})
	fmt.Println(environment["SHOP_URL"], err)
	// Output: https://shop.example.com <nil>
}
