"""What `laurel catalog` does with catalogs beyond checking and publishing them."""
