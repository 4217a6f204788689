package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// readers is how many labels are fetched at a time.
const readers = 8

// bucket says where the labels are.
type bucket struct {
	Name   string `env:"LABEL_BUCKET,required,notEmpty"`
	Region string `env:"AWS_REGION,required,notEmpty"`
	// Endpoint is for an S3 that isn't Amazon's.
	Endpoint  string `env:"AWS_ENDPOINT_URL_S3"`
	AccessKey string `env:"AWS_ACCESS_KEY_ID,required,notEmpty"`
	SecretKey string `env:"AWS_SECRET_ACCESS_KEY,required,notEmpty"`
}

func (b bucket) open() *s3.Client {
	keys := aws.Credentials{AccessKeyID: b.AccessKey, SecretAccessKey: b.SecretKey, Source: "environment"}
	options := s3.Options{
		Region:      b.Region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
	}
	if b.Endpoint != "" {
		options.BaseEndpoint, options.UsePathStyle = aws.String(b.Endpoint), true
	}
	return s3.New(options)
}

// compareLabels holds at every moment: a label is stored before its parcel is
// written down, and never changed.
func compareLabels(v view, w world) (violations []string, remark string) {
	return w.labels, fmt.Sprintf("%d labels", len(v.before.labels))
}

// readLabels fetches every label that we have on record, and says what is wrong
// with them.
func readLabels(ctx context.Context, from bucket, labels []label) ([]string, error) {
	var mu sync.Mutex
	var violations []string
	client := from.open()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, one := range labels {
		group.Go(func() error {
			violation, err := readLabel(ctx, client, from.Name, one)
			if violation != "" {
				mu.Lock()
				violations = append(violations, violation)
				mu.Unlock()
			}
			return err
		})
	}
	err := group.Wait()
	slices.Sort(violations)
	return violations, err
}

func readLabel(ctx context.Context, client *s3.Client, name string, one label) (violation string, err error) {
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String(one.key)})
	if _, is := errors.AsType[*types.NoSuchKey](err); is {
		return one.key + ": our database says a label, S3 doesn't have it", nil
	}
	if err != nil {
		return "", fmt.Errorf("read label %s: %w", one.key, err)
	}
	defer object.Body.Close() //nolint:errcheck // it is read to the end
	sum := sha256.New()
	_, err = io.Copy(sum, object.Body)
	// S3's own checksum is compared on the way, by a client whose error has no name.
	if err != nil && strings.Contains(err.Error(), "checksum did not match") {
		return one.key + ": our database says a label, S3's is damaged", nil
	}
	if err != nil {
		return "", fmt.Errorf("read label %s: %w", one.key, err)
	}
	if got := sum.Sum(nil); !bytes.Equal(got, one.sha256) {
		return fmt.Sprintf("%s: our database says a label with SHA-256 %.4x…, S3 has %.4x…", one.key, one.sha256, got), nil
	}
	return "", nil
}
