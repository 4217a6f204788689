package function

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/orderflow-project/orderflow/shared/awsauth"
)

// LabelConfig says where labels are stored.
type LabelConfig struct {
	Bucket string `env:"LABEL_BUCKET,required,notEmpty"`
	Region string `env:"AWS_REGION,required,notEmpty"`
	// Endpoint is for an S3 that isn't Amazon's.
	Endpoint string `env:"AWS_ENDPOINT_URL_S3"`
	// AccessKey and SecretKey are for an S3 that knows the function by them. Without
	// either, it is the role of the pod's ServiceAccount that may store labels.
	AccessKey string `env:"AWS_ACCESS_KEY_ID"`
	SecretKey string `env:"AWS_SECRET_ACCESS_KEY"`
	// Transport takes the network's place where there is one; it is no setting.
	Transport http.RoundTripper
}

// credentials are the keys that were given, or those of the role. Half a pair is
// a mistake, after which the role's would be used without anybody meaning it.
func (c LabelConfig) credentials() (aws.CredentialsProvider, error) {
	switch {
	case c.AccessKey == "" && c.SecretKey == "":
		return awsauth.Credentials(c.Region), nil
	case c.AccessKey == "":
		return nil, errors.New("environment: AWS_ACCESS_KEY_ID is not set, but AWS_SECRET_ACCESS_KEY is: set both or neither")
	case c.SecretKey == "":
		return nil, errors.New("environment: AWS_SECRET_ACCESS_KEY is not set, but AWS_ACCESS_KEY_ID is: set both or neither")
	}
	keys := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, Source: "environment"}
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }), nil
}

const (
	// storeTimeout bounds a call to S3, with its retries.
	storeTimeout = 6 * time.Second
	// storeAttempts is low: the delivery itself is repeated.
	storeAttempts = 2
	// idleConnections is how many deliveries may be under way at once.
	idleConnections = 100
)

// labels is the bucket that labels are stored in.
type labels struct {
	client *s3.Client
	bucket string
}

func openLabels(cfg LabelConfig) (labels, error) {
	credentials, err := cfg.credentials()
	if err != nil {
		return labels{}, err
	}
	options := s3.Options{
		Region:           cfg.Region,
		Credentials:      credentials,
		RetryMaxAttempts: storeAttempts,
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = idleConnections
		}),
	}
	if cfg.Transport != nil {
		options.HTTPClient = &http.Client{Transport: cfg.Transport}
	}
	if cfg.Endpoint != "" {
		options.BaseEndpoint, options.UsePathStyle = aws.String(cfg.Endpoint), true
	}
	return labels{client: s3.New(options), bucket: cfg.Bucket}, nil
}

// put stores a label. S3 checks that what arrives is what was sent.
func (l labels) put(ctx context.Context, key string, pdf []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	sum := sha256.Sum256(pdf)
	stored, err := l.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(l.bucket), Key: aws.String(key), Body: bytes.NewReader(pdf),
		ContentType: aws.String("application/pdf"), ContentLength: aws.Int64(int64(len(pdf))),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ChecksumSHA256:    aws.String(base64.StdEncoding.EncodeToString(sum[:])),
	})
	if err != nil {
		return fmt.Errorf("store label: %w", err)
	}
	if aws.ToString(stored.ETag) == "" {
		return errNotS3
	}
	return nil
}

// errNotS3 says that somebody else has answered in S3's place, as a proxy with a page
// of its own: S3 gives whatever it stores a tag. The client takes any 200 for a yes.
var errNotS3 = errors.New("store label: the answer isn't S3's, it has no ETag")

// remove takes a label back, if there is one.
func (l labels) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := l.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(l.bucket), Key: aws.String(key)})
	if err != nil {
		return fmt.Errorf("remove label: %w", err)
	}
	return nil
}
