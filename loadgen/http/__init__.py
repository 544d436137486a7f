"""HTTP: transports for plain HTTP and HTTPS, forms and trace headers."""
