"""Running networks: sessions, devices, and what makes them faster."""
