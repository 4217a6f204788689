package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// labelCanBeScanned prints a label from S3 and holds a scanner to it.
func labelCanBeScanned(t *testing.T, s *system) {
	pdftoppm, zbarimg := tool(t, "pdftoppm", "poppler-utils"), tool(t, "zbarimg", "zbar-tools")
	made := s.place(t, basket(visa, line{"TABLE-CUPS", 2}, line{"TEA-SENCHA", 1}))
	tracking := s.await(t, made, "shipped", 10*time.Second).Shipment.TrackingNumber

	label := filepath.Join(t.TempDir(), "label.pdf")
	content := s.label(t, made)
	if !bytes.HasPrefix(content, []byte("%PDF-")) {
		t.Fatalf("the label begins with %.20q, want a PDF", content)
	}
	if err := os.WriteFile(label, content, 0o600); err != nil {
		t.Fatal(err)
	}
	picture := strings.TrimSuffix(label, ".pdf")
	if said, err := exec.Command(pdftoppm, "-r", "203", "-png", "-singlefile", label, picture).CombinedOutput(); err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, said)
	}
	scanned, err := exec.Command(zbarimg, "--quiet", picture+".png").Output()
	if err != nil {
		t.Fatalf("zbarimg finds no code: %v", err)
	}
	codes := strings.Split(strings.TrimSpace(string(scanned)), "\n")
	if !slices.Contains(codes, "CODE-128:"+tracking) || !slices.Contains(codes, "QR-Code:"+made.Number+"/"+tracking) {
		t.Errorf("the scanner reads %q, want the tracking number %s and the order number %s", codes, tracking, made.Number)
	}
	keep(t, "label.png", readFile(t, picture+".png"))
}

// label fetches an order's label from S3.
func (s *system) label(t *testing.T, made accepted) []byte {
	t.Helper()
	var key string
	if err := s.database(t).QueryRow(t.Context(), `select label_key from shipments where order_id = $1`, made.ID).Scan(&key); err != nil {
		t.Fatal(err)
	}
	client := s3.New(s3.Options{
		Region: s.env["AWS_REGION"], BaseEndpoint: aws.String(s.env["AWS_ENDPOINT_URL_S3"]), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"], ""),
	})
	object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(s.env["LABEL_BUCKET"]), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	content, err := io.ReadAll(object.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// kafkaHasEvents reads the topics with a client that isn't ours.
func kafkaHasEvents(t *testing.T, s *system) {
	kcat := tool(t, "kcat", "kcat")
	broker := s.env["KAFKA_BROKERS"]
	listed, err := exec.Command(kcat, "-b", broker, "-L", "-J").Output()
	if err != nil {
		t.Fatalf("kcat lists no topics: %v", err)
	}
	path := []string{"order-placed", "payment-verified", "inventory-updated", "order-shipped"}
	for _, topic := range append(path, "order-cancelled", "order-dead-letter") {
		if !strings.Contains(string(listed), `"topic":"`+topic+`"`) {
			t.Errorf("kcat doesn't list %s", topic)
		}
	}
	made := s.place(t, basket(visa, line{"TEA-KITCHEN", 1}))
	s.await(t, made, "shipped", 10*time.Second)
	for _, topic := range path {
		var headers map[string]string
		localtest.Eventually(t, topic+" has the order's event", 5*time.Second, func() bool {
			headers = consume(t, kcat, broker, topic)[made.ID]
			return headers != nil
		})
		for name, want := range map[string]string{
			"ce_specversion": "1.0", "ce_id": made.ID + "/" + topic, "ce_subject": made.ID, "ce_partitionkey": made.ID,
			"content-type": "application/json",
		} {
			if headers[name] != want {
				t.Errorf("%s: header %s is %q, want %q", topic, name, headers[name], want)
			}
		}
		for _, name := range []string{"ce_type", "ce_source", "ce_time", "ce_dataschema", "ce_traceparent"} {
			if headers[name] == "" {
				t.Errorf("%s: header %s is missing", topic, name)
			}
		}
	}
}

// consume reads a topic to its end: the headers of the last record by its key.
func consume(t *testing.T, kcat, broker, topic string) map[string]map[string]string {
	t.Helper()
	read, err := exec.Command(kcat, "-b", broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J").Output()
	if err != nil {
		t.Fatalf("kcat reads nothing from %s: %v", topic, err)
	}
	records := map[string]map[string]string{}
	decoder := json.NewDecoder(bytes.NewReader(read))
	for decoder.More() {
		var record struct {
			Key     string   `json:"key"`
			Headers []string `json:"headers"`
		}
		if err := decoder.Decode(&record); err != nil {
			t.Fatalf("kcat's record: %v", err)
		}
		headers := map[string]string{}
		for pair := range slices.Chunk(record.Headers, 2) {
			headers[pair[0]] = pair[1]
		}
		records[record.Key] = headers
	}
	return records
}

// keep leaves a file for people to look at, if go test was given -artifacts.
func keep(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// reportMemory tells how much memory each process has.
func reportMemory(t *testing.T, s *system) {
	processes := s.processes(t)
	var lines []string
	total := 0
	for name, pid := range processes {
		kilobytes := residentOf(t, pid)
		total += kilobytes
		lines = append(lines, fmt.Sprintf("%-24s %4d MB", name, kilobytes>>10))
	}
	slices.Sort(lines)
	t.Logf("resident memory of %d processes:\n%s\n%-24s %4d MB", len(processes), strings.Join(lines, "\n"), "all", total>>10)
}

// residentOf is the memory of a process and of those it has started, in kB; what
// they share counts once.
func residentOf(t *testing.T, pid int) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[2] != fmt.Sprint(pid) { // its process group
			continue
		}
		sum += proportional(filepath.Join(filepath.Dir(path), "smaps_rollup"))
	}
	return sum
}

func proportional(path string) int {
	rollup, _ := os.ReadFile(path)
	for text := range strings.Lines(string(rollup)) {
		var kilobytes int
		if n, _ := fmt.Sscanf(text, "Pss: %d kB", &kilobytes); n == 1 {
			return kilobytes
		}
	}
	return 0
}
