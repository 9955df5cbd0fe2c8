"""The sparse item-item path: each item explained by its neighbours, in closed form."""
