"""What leaves the house: pictures for papers, the printed report, and the statistician's bundle."""
