"""What nights in a row would have been."""
