package functest_test

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/manifest"
)

const (
	// maxImage is what an image may weigh, packed: more than any does, less than
	// twice as much.
	maxImage = 24 << 20
	// maxStart is how long a function may take from its start to being ready.
	// It takes tens of milliseconds where nothing else runs.
	maxStart = 2 * time.Second
)

// startRegistry runs a registry on loopback and returns the prefix of its images.
func startRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/orderflow"
}

// build builds and pushes an image by func build.
func build(t *testing.T, function, prefix string) {
	t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), cli(), "build", "--registry", prefix, "--push")
	cmd.Dir, cmd.Env = clone("functions", function), bare()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("func build: %v\n%s", err, output)
	}
	t.Logf("%s: func build --push took %.1f s", function, time.Since(began).Seconds())
}

// checkImage holds what func built against what was pulled, and that against
// what an image should be.
func checkImage(t *testing.T, function, prefix, databaseURL string) {
	t.Helper()
	image := pull(t, function, prefix)
	if err := validate.Image(image); err != nil {
		t.Errorf("the image that was pulled is not sound: %v", err)
	}
	checkConfig(t, image)
	program := checkFiles(t, function, image)
	size, took := weight(t, image), startProgram(t, program, podEnvironment(t, function, databaseURL))
	if size > maxImage || took > maxStart {
		t.Errorf("%s: %d bytes, ready after %s; want at most %d and %s", function, size, took, maxImage, maxStart)
	}
	t.Logf("%s: image of %.1f MB, ready %d ms after its start", function, float64(size)/1e6, took.Milliseconds())
}

// pull fetches the image for this machine's processor from the registry.
func pull(t *testing.T, function, prefix string) v1.Image {
	t.Helper()
	built, err := layout.ImageIndexFromPath(clone("functions", function, ".func", "build", "oci"))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(prefix + "/" + function)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(ref)
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	want, errBuilt := built.Digest()
	got, errPushed := pushed.Digest()
	if err := errors.Join(errBuilt, errPushed); err != nil || got != want {
		t.Fatalf("the registry has %s, func built %s: %v", got, want, err)
	}
	images, err := partial.FindImages(pushed, func(d v1.Descriptor) bool {
		return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == runtime.GOARCH
	})
	if err != nil || len(images) != 1 {
		t.Fatalf("%d images for linux on %s, want one: %v", len(images), runtime.GOARCH, err)
	}
	return images[0]
}

func checkConfig(t *testing.T, image v1.Image) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	if config.User != "1000:1000" || !slices.Equal(config.Cmd, []string{"/func/f"}) || config.Entrypoint != nil {
		t.Errorf("the image runs %q %q as %s, want /func/f as 1000:1000", config.Entrypoint, config.Cmd, config.User)
	}
	for _, variable := range config.Env {
		key, value, _ := strings.Cut(variable, "=")
		reference := strings.HasPrefix(value, "{{ configMap:") || strings.HasPrefix(value, "{{ secret:")
		if !reference && !slices.Contains([]string{"LISTEN_ADDRESS", "FUNC_CREATED", "FUNC_VERSION"}, key) {
			t.Errorf("the image sets %s to a value, want a reference to a ConfigMap or secret", key)
		}
	}
}

// checkFiles holds the image's files against the function's folder as git has
// it, and returns where it has put the program. func takes the whole folder,
// tests too, and whatever else lies there.
func checkFiles(t *testing.T, function string, image v1.Image) string {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	program := filepath.Join(t.TempDir(), "f")
	var found []string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		found = append(found, "/"+strings.TrimPrefix(header.Name, "/"))
		if strings.TrimPrefix(header.Name, "/") == "func/f" {
			save(t, program, archive)
		}
	}
	if diff := cmp.Diff(filesOf(t, function), slices.Sorted(slices.Values(found))); diff != "" {
		t.Errorf("files in the image (-want +got):\n%s", diff)
	}
	return program
}

func save(t *testing.T, path string, content io.Reader) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(file, content)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// filesOf are the files that an image of the function should have. A file that
// isn't in git's index is none of them: it may be a .env that was forgotten.
func filesOf(t *testing.T, function string) []string {
	t.Helper()
	names, err := files("functions/"+function, "--cached")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/func/f", "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-certificates.crt"}
	for _, name := range names {
		if name != ".gitignore" && !strings.HasPrefix(name, ".func/") {
			want = append(want, "/func/"+name)
		}
	}
	return slices.Sorted(slices.Values(want))
}

// weight is what is sent when the image is pulled.
func weight(t *testing.T, image v1.Image) int64 {
	t.Helper()
	file, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size := file.Config.Size
	for _, layer := range file.Layers {
		size += layer.Size
	}
	return size
}

// startDatabase starts a Postgres, without which the storefront isn't ready: it
// takes orders only where they can be kept.
func startDatabase(t *testing.T) string {
	t.Helper()
	databaseURL, end, err := local.DisposablePostgres(t.Context(), local.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	if err := local.Migrate(t.Context(), databaseURL); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}

// startProgram starts the image's program as a pod would and returns how long
// it takes to get ready.
func startProgram(t *testing.T, program string, environment []string) time.Duration {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = slices.Concat(environment, []string{"LISTEN_ADDRESS=" + address, "K_SINK=http://127.0.0.1:1/orderflow/sink"})
	began := time.Now()
	p := start(t, cmd)
	p.await("the image's program is ready", func() bool { return get(t, "http://"+address+"/health/readiness", "").status == 200 })
	took := time.Since(began)
	if err := p.interrupt(); err != nil {
		t.Errorf("the image's program ends: %v", err)
	}
	return took
}

// podEnvironment is what func.yaml asks for: the ConfigMap as it is, the
// database, and other secrets that open nothing.
func podEnvironment(t *testing.T, function, databaseURL string) []string {
	t.Helper()
	set, err := manifest.Load(clone(local.ManifestDir))
	if err != nil {
		t.Fatal(err)
	}
	all, err := manifest.LoadFunctions(clone("functions"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(f manifest.Function) bool { return f.Name == function })
	environment, err := all[i].Environment(func(kind, _, key string) (string, bool) {
		switch {
		case kind == "configMap":
			return set.ConfigMaps[0].Data[key], true
		case key == "DATABASE_URL":
			return databaseURL, true
		default:
			return rand.Text() + rand.Text(), true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return environment
}
