"""Planar navigation: reach goals among hazards and vases, in Safety-Gym's geometry, a million steps a second.

Layouts, rewards, costs, lidar and the order of observations are Safety-Gym's of its goal tasks, levels 1 and 2. How the
robots move is ours: bodies in the plane with the masses, forces and damping of its point and car, without wheels that
slip or bodies that tip over. Scores are therefore near those of MuJoCo's robots, and are not theirs.
"""
