package broker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger passes on what the embedded broker warns of, a segment it had to
// repair for one.
type logger struct{ to *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	severity := slog.LevelWarn
	switch {
	case level == kfake.LogLevelError:
		severity = slog.LevelError
	case level > kfake.LogLevelWarn:
		return
	}
	l.to.Log(context.Background(), severity, "kafka broker: "+fmt.Sprintf(format, args...))
}
