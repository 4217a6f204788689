.DEFAULT_GOAL := help
SHELL := /bin/bash
MODULES = $(shell go list -f '{{.Dir}}' -m)
# Knative's types bring versions that would bend everybody else's: in no workspace.
APART = $(CURDIR)/infra/knative/verify
PORT_OFFSET ?= 0
STATE ?= .orderflow
# All tests but those of the whole system, which make e2e runs, and those with
# the func CLI and on a cluster, which make test-func and cluster-test run, and with
# broken code, which make mutations runs.
PKG ?= $$(go list $(addsuffix /...,$(MODULES)) | grep -Ev '/infra/local/(e2e|functest|clustertest|simulation/mutants)')
# Tests read files of other modules, which go's cache of results doesn't see.
TEST = bin/orderflow with-postgres -- go test -count=1
ORDERS ?= 500
FUZZTIME ?= 30s
RATE ?= 50
SEED ?= 1
SCHEDULES ?= 500
RUN_ARGS = --state $(STATE) --port-offset $(PORT_OFFSET)
# The addresses and keys of the running system, for what is run beside it.
WITH_ENV = environment=$$(bin/orderflow env --state $(STATE)) && set -a && eval "$$environment" &&

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Run the whole system on this machine (PORT_OFFSET=1000, STATE=folder)
	@exec bin/orderflow run $(RUN_ARGS)

.PHONY: reset
reset: build ## Remove all data: orders, mails, secrets, logs
	@bin/orderflow reset --state $(STATE)

.PHONY: build
build: ## Build the programs into bin/
	@infra/local/build.sh

.PHONY: test
test: build ## Run all tests (PKG=./functions/inventory-update/... some)
	@$(TEST) $(PKG)

# Without the simulation, whose goroutines run one at a time: what orders them is a
# scheduler that the race detector knows nothing of.
.PHONY: test-race
test-race: build ## Run all tests with the race detector (PKG= some)
	@$(TEST) -race $$(go list $(PKG) | grep -v '/infra/local/simulation$$')

.PHONY: fuzz
fuzz: build ## Fuzz every decoder and HTTP entry, one by one (FUZZTIME=30s, or 2000x inputs each)
	@bin/orderflow with-postgres -- scripts/fuzz/fuzz.sh -t $(FUZZTIME)

.PHONY: e2e
e2e: build ## Run the tests of the whole system, in processes and a browser
	cd infra/local/e2e && npm ci --ignore-scripts --silent
	go test -count=1 -timeout 20m ./infra/local/e2e/...

.PHONY: simulation
simulation: ## Run the functions in a simulated world, under faults drawn from a seed (ORDERS=100000 SEED=1 SCHEDULES=4000)
	@cd infra/local/simulation && go test -count=1 -v -timeout 30m -run '^TestOrders' . -orders=$(ORDERS) -seed=$(SEED)
	@cd infra/local/simulation && go test -count=1 -v -timeout 30m -run '^TestEvery' . -schedules=$(SCHEDULES)

.PHONY: mutations
mutations: ## Break the code on purpose, place by place, and see that the simulation notices
	@cd infra/local/simulation/mutants && go test -count=1 -v -timeout 60m

# In the package's folder, so that go test shows what was counted.
.PHONY: conformance
conformance: ## Hold KafkaSource and KafkaSink to Knative's semantics, case by case
	@cd infra/local/kafkasource/conformance && go test -count=1

.PHONY: test-kafka
test-kafka: build bin/kafka ## Run conformance and the whole system on Apache Kafka, killing it (needs Java 17, Maven)
	@cd infra/local/kafkasource/conformance && KAFKA_JARS=$(CURDIR)/bin/kafka go test -count=1
	cd infra/local/e2e && npm ci --ignore-scripts --silent
	KAFKA_JARS=$(CURDIR)/bin/kafka go test -count=1 -timeout 30m ./infra/local/e2e/...

# A folder of jars, checked against what Maven's repository says of them.
bin/kafka: infra/tools/kafka/pom.xml
	rm -rf $@
	mvn --quiet --batch-mode --strict-checksums -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$@
	touch $@

.PHONY: test-func
test-func: bin/func ## Build, run, invoke and push functions by the func CLI (FUNCTION= one)
	go test -count=1 -v -timeout 30m $(if $(FUNCTION),-run 'TestFunction/$(FUNCTION)$$') ./infra/local/functest

.PHONY: lint
lint: bin/golangci-lint ## Check style with golangci-lint
	@for module in $(MODULES); do (cd $$module && $(CURDIR)/bin/golangci-lint run ./...) || exit 1; done
	@cd $(APART) && GOWORK=off $(CURDIR)/bin/golangci-lint run ./...

# Built once and not by go tool at each call: linking it takes half a minute.
bin/golangci-lint: infra/tools/golangci-lint/go.sum
	cd infra/tools/golangci-lint && GOWORK=off go build -o $(CURDIR)/bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -w $(MODULES) $(APART)

.PHONY: generate
generate: bin/sqlc ## Generate code and documentation
	bin/sqlc generate -f .sqlc.yaml
	@go test -count=1 -run Documented ./events -update

bin/sqlc: infra/tools/sqlc/go.sum
	cd infra/tools/sqlc && CGO_ENABLED=0 GOWORK=off go build -o $(CURDIR)/bin/ github.com/sqlc-dev/sqlc/cmd/sqlc

# Its own make target, for the same reason as golangci-lint's.
bin/func: infra/tools/func/go.sum
	cd infra/tools/func && CGO_ENABLED=0 GOWORK=off go build -o $(CURDIR)/bin/ knative.dev/func/cmd/func

.PHONY: func-run
func-run: build bin/func ## Run one function by func run, with what it needs (FUNCTION= EVENT= PORT=)
	@exec bin/orderflow func-run $(if $(EVENT),--event=$(EVENT)) $(if $(PORT),--port=$(PORT)) $(FUNCTION)

.PHONY: func-invoke
func-invoke: build bin/func ## Call it by func invoke with its example event (FUNCTION= EVENT=)
	@exec bin/orderflow func-invoke $(if $(EVENT),--event=$(EVENT)) $(FUNCTION)

.PHONY: tidy
tidy: ## Bring every go.mod up to date
	@for module in $(MODULES) $(APART); do (cd $$module && GOWORK=off go mod tidy) || exit 1; done

.PHONY: verify
verify: generate tidy ## Each module builds alone; nothing generated is stale
	@for module in $(MODULES); do (cd $$module && GOWORK=off go build ./...) || exit 1; done
	@git diff --exit-code

# In the module's folder and without ./..., so that go test shows what was counted.
.PHONY: verify-manifests
verify-manifests: ## Hold manifests, func.yaml files and events to Knative's types and each other
	@cd $(APART) && GOWORK=off go test -count=1

# Puts an image into a registry without Docker: the migration's, which is no function.
bin/crane: infra/tools/crane/go.sum
	cd infra/tools/crane && CGO_ENABLED=0 GOWORK=off go build -o $(CURDIR)/bin/ github.com/google/go-containerregistry/cmd/crane

# Onto the cluster that kubectl talks to. What is given to make, as REGISTRY= or
# OVERLAY=, is in the script's environment; the script says what there is.
.PHONY: deploy
deploy: bin/func bin/crane ## Bring everything onto the cluster of kubectl (REGISTRY= OVERLAY=dev; FUNCTION= one)
	@infra/knative/deploy.sh deploy $(FUNCTION)

.PHONY: deploy-rollback
deploy-rollback: ## Send a function's requests to its last revision again (FUNCTION=)
	@infra/knative/deploy.sh rollback $(FUNCTION)

.PHONY: deploy-status
deploy-status: ## Show what is on the cluster, and what isn't ready (OVERLAY=dev)
	@infra/knative/deploy.sh status

.PHONY: undeploy
undeploy: ## Remove everything from the cluster but secrets, topics and the database (OVERLAY=dev)
	@infra/knative/deploy.sh undeploy $(FUNCTION)

# In the cluster's own network there is no way out, so all is built before. What is
# needed of the cluster stands in infra/local/clustertest/doc.go.
.PHONY: cluster-test
cluster-test: build bin/func bin/crane ## Test the whole system on a real cluster (CLUSTER=folder with up.sh and in)
	@test -x "$(CLUSTER)/up.sh" || { echo "cluster-test: set CLUSTER to a folder with up.sh and in: infra/local/clustertest/doc.go" >&2; exit 1; }
	"$(CLUSTER)/up.sh" all
	go build -o bin/clustertest/ ./infra/local/cmd/orderflow ./scripts/simulate ./scripts/audit ./scripts/migrate
	go test -c -o bin/clustertest/test ./infra/local/clustertest
	cd infra/local/clustertest && "$(abspath $(CLUSTER))/in" $(CURDIR)/bin/clustertest/test -test.v -test.timeout=90m

# The contracts are the providers' own documents, which are not ours to keep here.
.PHONY: verify-contracts
verify-contracts: ## Hold our requests to SendGrid's published OpenAPI (CONTRACTS=folder)
	@test -n "$(CONTRACTS)" || { echo "verify-contracts: set CONTRACTS to a folder with sendgrid-mail-send.json, from github.com/sendgrid/sendgrid-oai" >&2; exit 1; }
	@CONTRACTS_DIR="$(abspath $(CONTRACTS))" go test -count=1 -tags contracts -run Contract ./functions/customer-notification

.PHONY: simulate
simulate: build ## Place orders on the running system (ORDERS=500 RATE=50; RATE=0 is as fast as possible)
	@$(WITH_ENV) go run ./scripts/simulate --orders=$(ORDERS) --rate=$(RATE)

.PHONY: audit
audit: build ## Prove that no order, charge, unit or mail went wrong (REPAIR=1 shows what it would set right, and asks; REPAIR=yes doesn't)
	@$(WITH_ENV) go run ./scripts/audit $(if $(REPAIR),--repair=$(if $(filter yes,$(REPAIR)),yes,ask))

# In a folder and at ports of its own; RATE is 10 unless given. ARGS are further
# options: bin/chaos/chaos --help.
.PHONY: chaos
chaos: build ## Let a storm of faults go over the whole system, and audit it (ORDERS=300 SEED=1 KILLS= RATE=10 ARGS=)
	@mkdir -p bin/chaos
	@go build -o bin/chaos/ ./scripts/simulate ./scripts/audit ./scripts/chaos
	@exec bin/chaos/chaos $(if $(filter command line environment,$(origin ORDERS)),--orders=$(ORDERS)) \
		$(if $(filter command line environment,$(origin RATE)),--rate=$(RATE)) $(if $(SEED),--seed=$(SEED)) \
		$(if $(KILLS),--kills=$(KILLS)) $(if $(REPORT),--report=$(REPORT)) $(ARGS)

# Each breaks a law of the system, and a storm must find it: exit status 1. ARGS are
# options of bin/chaos/chaos.
.PHONY: chaos-mutants
chaos-mutants: build ## See that a storm catches a system that is broken on purpose (MUTANTS= some, ARGS=)
	@mkdir -p bin/chaos
	@go build -o bin/chaos/ ./scripts/simulate ./scripts/audit ./scripts/chaos
	@scripts/chaos/mutants.sh $(addprefix -o ,$(ARGS)) $(MUTANTS)

.PHONY: dead-letters
dead-letters: build ## Deal with dead letters of the running system (ARGS="list", show, redrive, discard)
	@$(WITH_ENV) bin/orderflow dead-letters $(ARGS)

.PHONY: stock
stock: build ## See the stock of the running system, receive goods, adjust it (ARGS="receive SKU 20 --reference=PO-17")
	@$(WITH_ENV) bin/orderflow stock $(ARGS)

.PHONY: cancel
cancel: build ## Cancel an order of the running system as an operator (ARGS="OF-... --reason='...'")
	@$(WITH_ENV) bin/orderflow cancel $(ARGS)

.PHONY: take-back
take-back: build ## Take back what was shipped, and refund it (ARGS="OF-... --line=SKU=1 --refund=12.34 --reason=not_wanted --reference=RMA-7")
	@$(WITH_ENV) bin/orderflow take-back $(ARGS)

.PHONY: order
order: build ## Tell the whole life of an order of the running system (ID=id or number; AT=time)
	@$(WITH_ENV) bin/orderflow order $(if $(AT),--at=$(AT)) $(ID)

.PHONY: clean
clean: ## Remove what make built
	rm -rf bin
