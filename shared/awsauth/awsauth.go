// Package awsauth finds out who a process is to AWS: by the default chain of
// AWS's SDK, which on EKS is the role of the pod's ServiceAccount.
//
// The chain reads the variables of the process and not those that a function is
// given, because they are nobody's settings: EKS puts AWS_ROLE_ARN,
// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_REGION into the pod.
package awsauth

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Load reads what the SDK is told by the process. A region that is empty is the
// process's.
func Load(ctx context.Context, region string) (aws.Config, error) {
	loaded, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
	}
	return loaded, nil
}

// Credentials are keys of whoever the process is. Nothing is loaded before they
// are asked for, so that a function is ready without waiting for AWS. The keys
// are renewed when their time is over.
func Credentials(region string) aws.CredentialsProvider { return &chain{region: region} }

// chain is the SDK's, made when it is needed.
type chain struct {
	region string

	mu   sync.Mutex
	made aws.CredentialsProvider
}

// Retrieve asks the chain for keys.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	made, err := c.make(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return made.Retrieve(ctx)
}

func (c *chain) make(ctx context.Context) (aws.CredentialsProvider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		loaded, err := Load(ctx, c.region)
		if err != nil {
			return nil, err
		}
		c.made = loaded.Credentials
	}
	return c.made, nil
}
