"""What runs beside the program that shows the frames: exchange, threads, delay, governor."""
