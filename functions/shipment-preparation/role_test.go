package function

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/orderflow-project/orderflow/shared/awsauth/awstest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// byRole is an environment without keys to S3, as on EKS, where the pod has a role.
// S3 is one that takes the role's keys: in front of the project's, which knows no
// keys but its own, each request is checked, and signed anew.
func byRole(tb testing.TB, account *awstest.Account, s3 *s3Server) map[string]string {
	tb.Helper()
	own := aws.Credentials{AccessKeyID: testAccessKey, SecretAccessKey: testSecretKey}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := account.CheckRequest(r, "s3", time.Now()); err != nil {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>"+err.Error()+"</Message></Error>", http.StatusForbidden)
			return
		}
		r.URL.Host, r.URL.Scheme, r.Host, r.RequestURI = s3.address, "http", "", ""
		r.Header.Del("X-Amz-Security-Token")
		err := v4.NewSigner().SignHTTP(r.Context(), own, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", testRegion, time.Now(),
			func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err != nil {
			tb.Errorf("sign anew: %v", err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body)
	}))
	tb.Cleanup(front.Close)
	return map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL_S3": front.URL}
}

// Not parallel, as it sets the variables of the process that EKS would.
func TestShipsByTheRoleOfItsPod(t *testing.T) {
	account := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "the role's"})
	s := openWith(t, testS3(t), byRole(t, account, testS3(t)))
	if asked := account.Asked(); asked != 0 {
		t.Errorf("AWS was asked for keys %d times at the start, want not before there is a label", asked)
	}
	for range 2 {
		order := s.order(stagetest.PaymentMethod)
		s.deliver(order, http.StatusOK)
		s.wantShipped(order)
	}
	if asked := account.Asked(); asked != 1 {
		t.Errorf("AWS was asked for keys %d times, want once", asked)
	}
}

func TestRoleThatMayNotStoreLabels(t *testing.T) {
	account := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "the role's"})
	environment := byRole(t, account, testS3(t))
	awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "another's"})
	s := openWith(t, testS3(t), environment)
	order := s.order(stagetest.PaymentMethod)
	s.deliver(order, http.StatusServiceUnavailable)
	s.wantNothingShipped(order)
}

// Keys that are given are used, whatever role the pod has.
func TestKeysComeBeforeTheRole(t *testing.T) {
	account := awstest.New(t, awstest.Keys{ID: "ASIATEST", Secret: "another"})
	s := open(t, testS3(t))
	order := s.order(stagetest.PaymentMethod)
	s.deliver(order, http.StatusOK)
	s.wantShipped(order)
	if asked := account.Asked(); asked != 0 {
		t.Errorf("AWS was asked for keys %d times, want never", asked)
	}
}

func TestHalfAPairOfKeys(t *testing.T) {
	t.Parallel()
	cfg := LabelConfig{Bucket: testBucket, Region: testRegion}
	id, secret := cfg, cfg
	id.AccessKey, secret.SecretKey = "hunter2", "hunter2"
	for missing, half := range map[string]LabelConfig{"AWS_SECRET_ACCESS_KEY": id, "AWS_ACCESS_KEY_ID": secret} {
		_, err := openLabels(half)
		if err == nil || !strings.HasPrefix(err.Error(), "environment: "+missing+" is not set") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("openLabels() = %v, want it to name %s and no value", err, missing)
		}
	}
}
