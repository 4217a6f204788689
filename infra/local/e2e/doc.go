// Package e2e tests the whole system the way people use it: started by its own
// command, with every part in its process, over HTTP, in a browser, from S3 and
// from Kafka. What the system promises is tried while processes are killed.
//
//	go test ./e2e -run TestShop/label     one thing
//	E2E_ORDERS=2000 go test ./e2e         with as many orders under load
//	go test ./e2e -artifacts -outputdir=. keeps the screenshots
//
// It needs, besides Postgres: chromium, kcat, pdftoppm, zbarimg, and axe-core by
// npm ci in this folder. What is missing is an error, not a skip.
package e2e
