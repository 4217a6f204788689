// Package secrets puts in what an environment only refers to: a variable may say
// where in AWS Secrets Manager its value is.
//
//	DATABASE_URL=secretsmanager:orderflow/postgres#url
//
// means the string "url" of the JSON object that the secret orderflow/postgres
// holds; without #, all of the secret. A secret may be named by its ARN, too, and
// is then sought in the ARN's region.
package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/orderflow-project/orderflow/shared/awsauth"
)

// prefix is what a reference begins with.
const prefix = "secretsmanager:"

// timeout bounds the search for all of them.
const timeout = 20 * time.Second

// Resolve replaces each reference by what it refers to. An environment without
// any is returned as it is, and nobody is asked.
//
// The error names every variable whose value can't be had and why, and never
// repeats a value.
func Resolve(ctx context.Context, environment map[string]string) (map[string]string, error) {
	references := map[string]string{}
	for variable, value := range environment {
		if reference, is := strings.CutPrefix(value, prefix); is {
			references[variable] = reference
		}
	}
	if len(references) == 0 {
		return environment, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	loaded, err := awsauth.Load(ctx, environment["AWS_REGION"])
	if err != nil {
		return environment, fmt.Errorf("environment: secrets: %w", err)
	}
	found := vault{client: secretsmanager.NewFromConfig(loaded), region: loaded.Region, asked: map[string]answer{}}
	resolved := maps.Clone(environment)
	var problems []string
	for _, variable := range slices.Sorted(maps.Keys(references)) {
		value, err := found.value(ctx, references[variable])
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s is in %s%s: %v", variable, prefix, references[variable], err))
		}
		resolved[variable] = value
	}
	if len(problems) > 0 {
		return environment, fmt.Errorf("environment: %s", strings.Join(problems, "; "))
	}
	return resolved, nil
}

// vault asks for each secret once.
type vault struct {
	client *secretsmanager.Client
	region string
	asked  map[string]answer
}

type answer struct {
	text string
	err  error
}

func (v vault) value(ctx context.Context, reference string) (string, error) {
	id, key, part := strings.Cut(reference, "#")
	if id == "" || part && key == "" {
		return "", errors.New("want " + prefix + "<secret>, or " + prefix + "<secret>#<key of its JSON>")
	}
	secret, known := v.asked[id]
	if !known {
		secret.text, secret.err = v.ask(ctx, id)
		v.asked[id] = secret
	}
	if secret.err != nil || !part {
		return secret.text, secret.err
	}
	return member(secret.text, key)
}

func (v vault) ask(ctx context.Context, id string) (string, error) {
	region := v.region
	if named, err := arn.Parse(id); err == nil {
		region = named.Region
	}
	if region == "" {
		return "", errors.New("in no region: AWS_REGION isn't set, and the secret isn't named by its ARN")
	}
	input := &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)}
	secret, err := v.client.GetSecretValue(ctx, input, func(o *secretsmanager.Options) { o.Region = region })
	if refusal, is := errors.AsType[smithy.APIError](err); is {
		return "", fmt.Errorf("AWS answers %s: %s", refusal.ErrorCode(), refusal.ErrorMessage())
	}
	if err != nil {
		return "", err
	}
	if secret.SecretString == nil {
		return "", errors.New("the secret is binary, want text")
	}
	return *secret.SecretString, nil
}

// member is a string of a JSON object. What encoding/json says of an object that
// isn't one would quote from it.
func member(text, key string) (string, error) {
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return "", errors.New("the secret isn't a JSON object")
	}
	value, is := object[key].(string)
	if !is {
		return "", errors.New("the secret's JSON has no string of that key")
	}
	return value, nil
}
