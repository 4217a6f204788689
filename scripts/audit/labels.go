package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/orderflow-project/orderflow/events"
)

const (
	// readers is how many labels are fetched at a time.
	readers = 8
	// labelFolder is where labels are; a bucket may have other things besides.
	labelFolder = "labels/"
	// labelGrace is how long a label may be there that nobody needs any more: a
	// delivery that runs beside the one that handled the event may have stored it,
	// and takes it back within its 20 s. The rest is for two clocks.
	labelGrace = time.Minute
)

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

// stored is a label that is in S3.
type stored struct {
	key string
	// young tells that it was stored within labelGrace.
	young bool
}

// compareLabels holds at every moment: a label is stored before its parcel is
// written down, and never changed. One without a parcel has an address that
// nobody needs.
func compareLabels(v view, w world) (violations []string, remark string) {
	violations = slices.Clone(w.labels)
	for _, one := range w.stored {
		if _, shipped := v.after.labels[one.key]; shipped {
			continue
		}
		id := strings.TrimSuffix(strings.TrimPrefix(one.key, labelFolder), ".pdf")
		own, known := v.after.orders[id]
		switch {
		case !known:
			violations = append(violations, one.key+": our database knows no such order, S3 has a label")
		case !own.mayHaveLabel(one.young):
			violations = append(violations, fmt.Sprintf("%s: our database says %s and no label, S3 has one", one.key, own.status))
		}
	}
	slices.Sort(violations)
	return violations, fmt.Sprintf("%d labels", len(v.before.labels))
}

// mayHaveLabel tells whether a label can be there of an order that isn't shipped,
// because shipment-preparation is at work: until it has handled the order's
// event, whatever became of the order meanwhile, and a moment longer.
func (o order) mayHaveLabel(young bool) bool {
	switch o.status {
	case events.StatusInventoryUpdated:
		return true
	case events.StatusCancelled:
		return o.reserved && (!o.prepared || young)
	default:
		return false
	}
}

// listLabels lists what there is.
func listLabels(ctx context.Context, from bucket) ([]stored, error) {
	var all []stored
	pages := s3.NewListObjectsV2Paginator(from.open(), &s3.ListObjectsV2Input{Bucket: &from.Name, Prefix: aws.String(labelFolder)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list labels: %w", err)
		}
		for _, object := range page.Contents {
			all = append(all, stored{key: aws.ToString(object.Key), young: time.Since(aws.ToTime(object.LastModified)) < labelGrace})
		}
	}
	return all, nil
}

// readLabels fetches every label that we have on record, and says what is wrong
// with them.
func readLabels(ctx context.Context, from bucket, labels map[string]label) ([]string, error) {
	var mu sync.Mutex
	var violations []string
	client := from.open()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for one := range maps.Values(labels) {
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
	return violations, group.Wait()
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
	document, err := io.ReadAll(object.Body)
	// S3's own checksum is compared on the way, by a client whose error has no name.
	if err != nil && strings.Contains(err.Error(), "checksum did not match") {
		return one.key + ": our database says a label, S3's is damaged", nil
	}
	if err != nil {
		return "", fmt.Errorf("read label %s: %w", one.key, err)
	}
	if got := sha256.Sum256(document); !bytes.Equal(got[:], one.sha256) {
		return fmt.Sprintf("%s: our database says a label with SHA-256 %.4x…, S3 has %.4x…", one.key, one.sha256, got), nil
	}
	if wrong := one.wrongText(document); wrong != "" {
		return one.key + ": " + wrong, nil
	}
	return "", nil
}
