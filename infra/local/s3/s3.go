// Package s3 runs an S3-compatible server for the laptop, with real signatures:
// a forged or expired link is refused, as by Amazon's.
package s3

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Config says where the server listens and what it keeps.
type Config struct {
	// Address is host:port; the server listens there and nowhere else.
	Address string
	// Dir holds the objects as plain files.
	Dir string
	// Buckets are made if they are missing.
	Buckets              []string
	Region               string
	AccessKey, SecretKey string
}

// Bounds that the gateway wants stated. Labels are written by tens at a time.
const (
	maxConnections = 1024
	maxParts       = 10000
)

// Run serves until ctx ends. The library allows one server per process.
func Run(ctx context.Context, cfg Config) error {
	objects, sidecar := filepath.Join(cfg.Dir, "objects"), filepath.Join(cfg.Dir, "attributes")
	for _, dir := range append(bucketDirs(objects, cfg.Buckets), sidecar) {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	// Not every file system has extended attributes, so they are kept beside.
	attributes, err := meta.NewSideCar(sidecar)
	if err != nil {
		return fmt.Errorf("open attributes: %w", err)
	}
	store, err := posix.New(objects, attributes, posix.PosixOpts{SideCarDir: sidecar, ValidateBucketNames: true})
	if err != nil {
		return fmt.Errorf("open objects: %w", err)
	}
	defer store.Shutdown()
	return embedgw.RunVersityGW(ctx, store, &embedgw.Config{
		RootUserAccess: cfg.AccessKey, RootUserSecret: cfg.SecretKey, Region: cfg.Region,
		Ports: []string{cfg.Address}, MaxConnections: maxConnections, MaxRequests: maxConnections,
		MultipartMaxParts: maxParts, KeepAlive: true, Quiet: true, HealthPath: "/healthz",
	})
}

// bucketDirs are the folders of the buckets: a folder is all there is to one.
func bucketDirs(objects string, buckets []string) []string {
	dirs := []string{objects}
	for _, bucket := range buckets {
		dirs = append(dirs, filepath.Join(objects, bucket))
	}
	return dirs
}
