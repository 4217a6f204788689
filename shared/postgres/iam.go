package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/shared/awsauth"
)

// askTimeout bounds how long a connection waits for AWS's keys, which are asked
// for once an hour.
const askTimeout = 10 * time.Second

// signIn gives each new connection a token of its own in place of a password: it
// is valid for 15 minutes, and a pool lives longer.
func signIn(region string) func(context.Context, *pgx.ConnConfig) error {
	credentials := awsauth.Credentials(region)
	return func(ctx context.Context, settings *pgx.ConnConfig) error {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		at := net.JoinHostPort(settings.Host, strconv.Itoa(int(settings.Port)))
		token, err := auth.BuildAuthToken(ctx, at, region, settings.User, credentials)
		if err != nil {
			return fmt.Errorf("sign in to RDS by IAM: %w", err)
		}
		settings.Password = token
		return nil
	}
}

// trust has the server prove who it is where the configuration is for one that
// can. A token is sent as it is: whoever takes it has the database for as long as
// it is valid. So there must be TLS, to a server whose name is checked, and no
// second way in without.
func trust(settings *pgx.ConnConfig, cfg Config) error {
	if cfg.IAMRegion == "" && cfg.RootCerts == "" {
		return nil
	}
	if len(settings.Fallbacks) > 0 || settings.TLSConfig == nil || settings.TLSConfig.InsecureSkipVerify {
		return errors.New("DATABASE_URL must name one host and have sslmode=verify-full, as DATABASE_IAM_REGION or DATABASE_ROOT_CERTS is set: anybody else could be the server")
	}
	if cfg.RootCerts == "" {
		return nil
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(cfg.RootCerts)) {
		return errors.New("DATABASE_ROOT_CERTS has no certificate in it: want PEM")
	}
	settings.TLSConfig.RootCAs = authorities
	return nil
}
