package main

import (
	"knative.dev/func-go/http"

	backoffice "github.com/orderflow-project/orderflow/functions/backoffice"
	customernotification "github.com/orderflow-project/orderflow/functions/customer-notification"
	deadletterintake "github.com/orderflow-project/orderflow/functions/dead-letter-intake"
	inventoryupdate "github.com/orderflow-project/orderflow/functions/inventory-update"
	orderanalytics "github.com/orderflow-project/orderflow/functions/order-analytics"
	ordercancellation "github.com/orderflow-project/orderflow/functions/order-cancellation"
	orderrecovery "github.com/orderflow-project/orderflow/functions/order-recovery"
	paymentverification "github.com/orderflow-project/orderflow/functions/payment-verification"
	providerwebhooks "github.com/orderflow-project/orderflow/functions/provider-webhooks"
	shipmentpreparation "github.com/orderflow-project/orderflow/functions/shipment-preparation"
	storefront "github.com/orderflow-project/orderflow/functions/storefront"
)

// functions are all there are, by the names in their func.yaml.
func functions() map[string]func() http.Handler {
	return map[string]func() http.Handler{
		"backoffice":            func() http.Handler { return backoffice.New() },
		"customer-notification": func() http.Handler { return customernotification.New() },
		"dead-letter-intake":    func() http.Handler { return deadletterintake.New() },
		"inventory-update":      func() http.Handler { return inventoryupdate.New() },
		"order-analytics":       func() http.Handler { return orderanalytics.New() },
		"order-cancellation":    func() http.Handler { return ordercancellation.New() },
		"order-recovery":        func() http.Handler { return orderrecovery.New() },
		"payment-verification":  func() http.Handler { return paymentverification.New() },
		"provider-webhooks":     func() http.Handler { return providerwebhooks.New() },
		"shipment-preparation":  func() http.Handler { return shipmentpreparation.New() },
		"storefront":            func() http.Handler { return storefront.New() },
	}
}
