// Package lostorders_test is the ways in which reference systems lose an order,
// money or stock by their own code, each tried on ours. What each system does was
// read in its sources; the test does to ours what makes it happen there, and wants
// nothing lost. Afterwards all that shared/invariants knows must be true.
//
//	system                     what it does                                                    test
//	OTel demo, Google demo     charges, then shipping fails: no refund                         TestChargedThenShippingFails
//	OTel demo                  logs that the event couldn't be sent, and goes on               TestEventCouldNotBeProduced
//	eShop                      acknowledges an event that its handler failed on                TestConsumerAcksOnException
//	eShop                      has an event sent by the request that wrote it, or never        TestOutboxOfARequestThatDied
//	eShop                      answers the retry of what failed as a duplicate's success       TestRetryAfterASwallowedException
//	Confluent                  reserves twice after a crash, never releases, mails in a minute TestCrashReservesTwice
//	Temporal OMS               no refund and no release when shipment fails after the charge   TestNothingUndoneAfterTheCharge
//	DBOS demo                  moves inventory twice across a crash                            TestInventoryMovesTwiceAcrossACrash
//	AWS sample                 creates an order twice, and puts events twice                   TestCreateOrderIsNotIdempotent
//	Medusa                     sells the last unit twice, and leaves the loser orphaned        TestConcurrentLastUnitCheckouts
//	outbox batching            sends later rows of an order before one that failed             TestLaterRowsBeforeTheFailedOne
//	Open Food Network (Spree)  makes three Stripe payments for one order                       TestThreePaymentsForOneOrder
package lostorders_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
	"github.com/orderflow-project/orderflow/shared/payment"
)

// Twelve rows, and a test for each.
func TestEachRowHasItsTest(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests, doc := map[string]bool{}, ""
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		doc += file.Doc.Text()
		for _, declaration := range file.Decls {
			if function, is := declaration.(*ast.FuncDecl); is && function.Recv == nil {
				tests[function.Name.Name] = true
			}
		}
	}
	rows := regexp.MustCompile(`(?m) (Test\w+)$`).FindAllStringSubmatch(doc, -1)
	for _, row := range rows {
		if !tests[row[1]] {
			t.Errorf("there is no %s", row[1])
		}
	}
	if len(rows) != 12 {
		t.Errorf("%d rows, want 12", len(rows))
	}
}

const (
	visa = "pm_card_visa"
	tea  = "TEA-SENCHA"
	// last is an article of which each test says how many there are.
	last = "BREW-KETTLE"
)

func TestMain(m *testing.M) { pipelinetest.Main(m) }

type shop struct{ *pipelinetest.Shop }

func open(t *testing.T, changes map[string]string) shop {
	t.Helper()
	return shop{pipelinetest.Open(t, "../../..", changes)}
}

// wantMoved holds what the provider did with an order's money, from first to last.
func (s shop) wantMoved(t *testing.T, order pipelinetest.Order, want ...payment.Kind) {
	t.Helper()
	if got := s.Provider.Kinds(t, order.ID.String()); !slices.Equal(got, want) {
		t.Errorf("the provider's movements of %s are %v, want %v", order.Number, got, want)
	}
}
